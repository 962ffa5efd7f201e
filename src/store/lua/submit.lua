-- submit: takes tasks in; each is stored, or found to be a repetition.
--
-- ARGV[5]   how long an idempotency key is remembered, ms
-- ARGV[6]   how long an approval may wait, ms
-- ARGV[7…]  20 for each task:
--   1 id   2 agent   3 type   4 priority   5 head start, ms   6 delay, ms, or ''   7 start at, ms, or ''
--   8 spec, opaque bytes   9 idempotency key's hash, or ''   10 digest of the body
--   11 approval id, or ''   12 approval rule, a JSON string   13 trace id, or ''
--   14 retries allowed   15 timeout of an attempt, ms, or ''   16 parent's id, or ''
--   17 to be finished by, ms, or ''   18 to be finished this long after its start, ms, or ''
--   19 who submits it   20 W3C trace context, or ''
--
-- Returns  for each task `CREATED <state> <now, ms> <due, ms, or ->`, `REPLAY <id> <due, ms, or -> <approval, or ->`
--          (the key's task, and what it was answered with) or `MISMATCH` (the key came with another body)
local remember_ms, expires_ms = ARGV[5], ARGV[6]
local specs, index, answers = {}, {}, {}

for i = 7, #ARGV, 20 do
  -- One call may carry the submissions of several callers.
  ACTOR = ARGV[i + 18]
  local id, key_hash = ARGV[i], ARGV[i + 8]
  local answer
  if key_hash ~= '' then
    local prior = redis.call('GET', P .. 'idempotency:' .. key_hash)
    if prior then
      local digest, first = string.match(prior, '^(%S*) (.*)$')
      answer = digest == ARGV[i + 9] and 'REPLAY ' .. first or 'MISMATCH'
    end
  elseif IS_AGAIN and redis.call('EXISTS', P .. 'task:' .. id) == 1 then
    local f = redis.call('HMGET', P .. 'task:' .. id, 'due', 'approval')
    answer = 'REPLAY ' .. id .. ' ' .. (f[1] or '-') .. ' ' .. (f[2] or '-')
  end
  if not answer then
    local task = {
      id = id, key = P .. 'task:' .. id, agent = ARGV[i + 1], type = ARGV[i + 2], priority = ARGV[i + 3],
      n = 0, attempt = 0, trace = ARGV[i + 12] ~= '' and ARGV[i + 12] or nil,
    }
    task.traceparent = ARGV[i + 19] ~= '' and ARGV[i + 19] or nil
    local due = tonumber(ARGV[i + 6]) or NOW + (tonumber(ARGV[i + 5]) or 0)
    local rank = math.max(due, NOW) - ARGV[i + 4]
    local fields = { 'agent', task.agent, 'type', task.type, 'priority', task.priority, 'rank', rank,
      'created', NOW, 'max_retries', ARGV[i + 13] }
    if task.trace then
      fields[#fields + 1], fields[#fields + 2] = 'trace', task.trace
    end
    if task.traceparent then
      fields[#fields + 1], fields[#fields + 2] = 'traceparent', task.traceparent
    end
    if ARGV[i + 14] ~= '' then
      fields[#fields + 1], fields[#fields + 2] = 'timeout', ARGV[i + 14]
    end
    if ARGV[i + 15] ~= '' then
      fields[#fields + 1], fields[#fields + 2] = 'parent', ARGV[i + 15]
      append(come, P .. 'children:' .. ARGV[i + 15], NOW, id)
    end
    local deadline = tonumber(ARGV[i + 16]) or ARGV[i + 17] ~= '' and math.max(due, NOW) + ARGV[i + 17]
    if deadline then
      fields[#fields + 1], fields[#fields + 2] = 'deadline', deadline
    end
    if due > NOW then
      fields[#fields + 1], fields[#fields + 2] = 'due', due
    end
    local state, score = 'pending', rank
    local approval = ARGV[i + 10]
    if approval ~= '' then
      state, score = 'blocked', NOW
      fields[#fields + 1], fields[#fields + 2] = 'approval', approval
    elseif due > NOW then
      state, score = 'scheduled', due
    end
    move(task, 'submit', state, score, fields)
    if approval ~= '' then
      ask(task, approval, ARGV[i + 11], ACTOR, NOW + expires_ms)
    end
    specs[#specs + 1], specs[#specs + 2] = id, ARGV[i + 7]
    -- Microseconds, of which the last three digits keep the order within one call.
    index[#index + 1], index[#index + 2] = NOW * 1000 + #index / 2, id
    local shown_due = due > NOW and due or '-'
    if key_hash ~= '' then
      local first = id .. ' ' .. shown_due .. ' ' .. (approval ~= '' and approval or '-')
      redis.call('SET', P .. 'idempotency:' .. key_hash, ARGV[i + 9] .. ' ' .. first, 'PX', remember_ms)
    end
    answer = 'CREATED ' .. state .. ' ' .. NOW .. ' ' .. shown_due
  end
  answers[#answers + 1] = answer
end

if #specs > 0 then
  redis.call('HSET', P .. 'specs', unpack(specs))
  redis.call('ZADD', P .. 'tasks', unpack(index))
end
finish()
return answers
