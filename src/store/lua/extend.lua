-- extend: extends the lease of an agent that still works on the task.
-- Needs  finish, move
--
-- ARGV[5]  id
-- ARGV[6]  proof that the agent holds the task; see barred_report
-- ARGV[7]  lease from now, ms
-- ARGV[8]  progress, JSON, or ''
--
-- Returns  `OK <lease until, ms>`, `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>` or
--          `LEASE <newest attempt>`
local task = load(ARGV[5])
local refusal = barred_report(task, 'extend', ARGV[6], '')
if refusal then
  return refusal
end
local lease_until = NOW + ARGV[7]
local status = task.status
local limit = status.limit
if limit ~= '-' then
  lease_until = math.min(lease_until, tonumber(limit))
end
append(come, set_of(status.state, status.agent), TEXT[lease_until], task.id)
-- The new end may be before the old one.
look_at(status.agent, lease_until)
if ARGV[8] ~= '' then
  write('HSET', P .. 'progress', { task.id, ARGV[8] })
  local agent = string.match(status.agent, '^[^@]+')
  emit(RULES.extend.event, task, ',"agent":"' .. agent .. '","attempt":' .. status.attempt
    .. ',"progress":' .. ARGV[8])
end
finish()
return 'OK ' .. lease_until
