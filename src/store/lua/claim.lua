-- claim: leases the first tasks of an agent's subject to one of its processes.
-- Needs  finish, lease, seal, sessions, sizes
--
-- A task whose payload is lost is failed instead, because an agent cannot work without it.
--
-- ARGV[5]   agent
-- ARGV[6]   worker: the process that claims
-- ARGV[7]   largest number of tasks
-- ARGV[8]   lease, ms
-- ARGV[9]   the lease as the store keeps it, which reports on these attempts must match
-- ARGV[10]  how long a session stays live after its last call, ms
-- ARGV[11]  how many sessions of an agent to keep: those with the latest calls
-- ARGV[12]  the largest roster that admits a new agent, or '' for an agent that is always admitted
-- ARGV[13]  how many bytes the tasks may have
-- ARGV[14]  how many bytes one task may have: a larger one stays in the subject, and those behind
--           it go first
-- ARGV[15]  1 if a wake-up is the reason for the call, which all waiting processes hear, else 0
--
-- Returns  now, ms; the largest size of the tasks in bytes; 1 if the next task did not fit, else 0;
--          a task that is too large, a space and its bytes, or ''; 1 if the store sent this call
--          again, so that the first one may have leased tasks too, else 0; then for each task
--          five values: id, lease until (ms), its record, its spec, its newest approval as names
--          and values, in turn. No task if the subject is empty, the agent is paused, or the lease
--          was given back already. -1 in place of the time if the roster is full.
if ARGV[15] == '1' and redis.call('EXISTS', KEYS[1] .. 'assigned:' .. ARGV[5]) == 0 then
  return { 0, 0, 0, '', 0 }
end
-- Begin
local agent = ARGV[5]
local answer = { NOW, 0, 0, '', IS_AGAIN and 1 or 0 }
if redis.call('EXISTS', P .. 'void:' .. ARGV[9]) == 1 then
  return answer
end
if not is_admitted(agent, tonumber(ARGV[12])) then
  answer[1] = -1
  return answer
end
note_sessions(agent, { ARGV[6] }, ARGV[10], ARGV[11])
if redis.call('SISMEMBER', P .. 'paused', agent) == 1 then
  finish()
  return answer
end

-- How many places of the subject to look at: tasks that are too large stay at the front.
local LOOKED_AT = 1000

lease_ms, lease_holder = ARGV[8], ARGV[9]
local assigned, specs = set_of('assigned', agent), P .. 'specs'
local wanted, room, whole = tonumber(ARGV[7]), tonumber(ARGV[13]), tonumber(ARGV[14])
local chosen, ids, used, large = {}, {}, 0, 0

-- Chooses tasks that fit, from place `first` on; false if there is nothing more to choose.
local function choose(first)
  local found = redis.call('ZRANGE', assigned, first, first + wanted - #chosen - 1)
  if #found == 0 then
    return false
  end
  for nth, task in ipairs(fetch(found)) do
    local id, size = found[nth], task and size_in_claim(task) or FRAME
    if size > whole then
      -- It stays in the subject.
      large, answer[4] = large + 1, answer[4] == '' and id .. ' ' .. TEXT[size] or answer[4]
    elseif used + size > room then
      answer[3] = 1
      return false
    else
      local at = #chosen + 1
      chosen[at], ids[at], used = task, id, used + size
    end
  end
  return #chosen < wanted
end

-- Leases a task with its spec, unless its payload or its approval prevents that.
local function claim(task, spec)
  local has_approval = task.status.approval ~= '-'
  if not spec then
    move(task, 'repair', { to = 'failed', reason = '"its payload is lost"', is_popped = true })
  elseif has_approval and not is_cleared(task, spec) then
    park(task)
  else
    local lease_until, size = hold(task, 'claim', POPPED), #answer
    -- The task stands for its record, which is known when all of them have moved.
    answer[size + 1], answer[size + 2], answer[size + 3] = task.id, lease_until, task
    answer[size + 4], answer[size + 5] = spec, has_approval and approval_of(task) or ''
  end
end

while #chosen + large < LOOKED_AT and choose(#chosen + large) do
end
answer[2] = used
if #ids > 0 then
  typed[assigned] = true
  local by_rank = large == 0
  write(by_rank and 'ZREMRANGEBYRANK' or 'ZREM', assigned, by_rank and { 0, #ids - 1 } or ids)
  for nth, spec in ipairs(read_fields(specs, ids)) do
    local task = chosen[nth]
    if not barred(task, 'claim') then
      claim(task, spec)
    end
  end
end
settle_all()
for at = 8, #answer, 5 do
  answer[at] = answer[at].record
end
finish()
return answer
