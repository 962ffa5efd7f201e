-- extend: extends the lease of an agent that still works on the task.
--
-- ARGV[5]  id
-- ARGV[6]  attempt that the agent holds
-- ARGV[7]  holder; see barred_report
-- ARGV[8]  lease from now, ms
-- ARGV[9]  progress, JSON, or ''
--
-- Returns  `OK <lease until, ms>`, `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>` or
--          `LEASE <newest attempt>`
local task = load(ARGV[5])
local refusal = barred_report(task, 'extend', ARGV[6], ARGV[7], '')
if refusal then
  return refusal
end
local lease_until = NOW + ARGV[8]
local limit = detail(task).limit
if limit ~= '-' then
  lease_until = math.min(lease_until, tonumber(limit))
end
append(come, set_of('in_progress', task.agent), TEXT[lease_until], task.id)
-- The new end may be before the old one.
look_at(task.agent, lease_until)
if ARGV[9] ~= '' then
  write('HSET', P .. 'progress', { task.id, ARGV[9] })
  emit(RULES.extend.event, task, heading(task) .. ',"agent":"' .. task.agent .. '","attempt":'
    .. task.attempt .. ',"progress":' .. ARGV[9] .. '}')
end
finish()
return 'OK ' .. lease_until
