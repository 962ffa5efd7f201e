-- submit: takes tasks in; each is stored, or found to be a repetition.
--
-- ARGV[5]   how long an idempotency key is remembered, ms
-- ARGV[6…]  28 for each task:
--   1 id   2 agent   3 type   4 priority   5 head start, ms   6 delay, ms, or ''   7 start at, ms, or ''
--   8 spec, opaque bytes   9 idempotency key's hash, or ''   10 digest of the body
--   11 approval id, or ''   12 digest of the content and, in the next lines, the gate; see approval.lua   13 trace id, or ''
--   14 retries allowed   15 timeout of an attempt, ms, or ''   16 parent's id, or ''
--   17 to be finished by, ms, or ''   18 to be finished this long after its start, ms, or ''
--   19 who submits it   20 W3C trace context, or ''
--   21 source   22 alert threshold, percent, or ''
--   23 to be started by, ms, or ''   24 to be started this long after it may start, ms, or ''
--   25 1 if its clocks stand still while it waits for a human, else 0; a space, and its promise in the
--      client's words as a record has it
--   26 what is done when a threshold passes, as a record has it, or ''
--   27 what becomes of it when its parent is cancelled, or `-`
--   28 where its parent is: `here`, in this partition; of another partition its state, or `gone`; or ''
--
-- Returns  for each task `CREATED <state> <now, ms> <due, ms, or ->`, `REPLAY <id>` (the key's task), `MISMATCH` (the key came with another body)
--          or `PARENT <state, or gone>` (the parent has ended, or there is none)
local remember_ms = ARGV[5]
local specs, index, answers = {}, {}, {}
-- What this call has stored under a key's hash.
local remembered = {}

-- A deadline: the one that is given, or so long after the task may start, or none.
local function by(start, at, within)
  return tonumber(at) or within ~= '' and start + within or nil
end

-- Why the parent may have no child; nil if it may.
local function barred_parent(id, state)
  if state == 'here' then
    state = load(id) and load(id).state or 'gone'
  end
  if state == 'gone' or TERMINAL[state] then
    return 'PARENT ' .. state
  end
end

for i = 6, #ARGV, 28 do
  -- One call may carry the submissions of several callers.
  ACTOR = ARGV[i + 18]
  local id, key_hash = ARGV[i], ARGV[i + 8]
  local answer
  if key_hash ~= '' then
    local prior = remembered[key_hash] or redis.call('GET', P .. 'idempotency:' .. key_hash)
    if prior then
      local digest, first = string.match(prior, '^(%S*) (%S+)')
      answer = digest == ARGV[i + 9] and 'REPLAY ' .. first or 'MISMATCH'
    end
  elseif IS_AGAIN and load(id) then
    answer = 'REPLAY ' .. id
  end
  answer = answer or barred_parent(ARGV[i + 15], ARGV[i + 27])
  if not answer then
    local due = tonumber(ARGV[i + 6]) or NOW + (tonumber(ARGV[i + 5]) or 0)
    local start = math.max(due, NOW)
    local rank = TEXT[start - ARGV[i + 4]]
    local finish_by, start_by = by(start, ARGV[i + 16], ARGV[i + 17]), by(start, ARGV[i + 22], ARGV[i + 23])
    local timer = first_timer(start, start_by, finish_by, ARGV[i + 21])
    local approval, trace, traceparent = ARGV[i + 10], ARGV[i + 12], ARGV[i + 19]
    local task = {
      id = id, agent = ARGV[i + 1], type = ARGV[i + 2], priority = ARGV[i + 3], n = 0, attempt = 0, rank = rank,
      approval = or_none(approval), holder = '-', said = '-',
      trace = trace ~= '' and trace or nil, traceparent = traceparent ~= '' and traceparent or nil,
      detail = timer .. ' 0 0 0 0 - ' .. (due > NOW and TEXT[due] or '-') .. ' 1 -',
      rest = ARGV[i + 1] .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[i + 3] .. ' ' .. or_none(trace) .. ' '
        .. or_none(traceparent) .. ' ' .. ARGV[i + 13] .. ' ' .. or_none(ARGV[i + 14]) .. ' ' .. or_none(ARGV[i + 15])
        .. ' ' .. ARGV[i + 20] .. ' ' .. ARGV[i + 26] .. '\n' .. or_none(ARGV[i + 25]) .. ' ' .. TEXT[start] .. ' '
        .. (start_by and TEXT[start_by] or '-') .. ' ' .. (finish_by and TEXT[finish_by] or '-') .. ' '
        .. or_none(ARGV[i + 21]) .. ' ' .. ARGV[i + 24],
    }
    if ARGV[i + 15] ~= '' then
      append(come, P .. 'children:' .. ARGV[i + 15], TEXT[NOW], id)
    end
    local state, score = 'pending', rank
    if approval ~= '' then
      state, score = 'blocked', NOW
    elseif due > NOW then
      state, score = 'scheduled', due
    end
    if timer ~= '-' then
      write_timer(id, timer)
    end
    move(task, 'submit', state, score)
    if approval ~= '' then
      local digest, gate = string.match(ARGV[i + 11], '^(%S+)\n(.*)$')
      local f = { id = approval, kind = 'gate', by = ACTOR, digest = digest, gate = gate }
      say_approval('approval.requested', task, f, open(task, f, ARGV[i + 7]))
    end
    specs[#specs + 1], specs[#specs + 2] = id, ARGV[i + 7]
    -- Microseconds, of which the last three digits keep the order within one call.
    index[#index + 1], index[#index + 2] = TEXT[NOW] .. string.format('%03d', #index / 2), id
    if key_hash ~= '' then
      remembered[key_hash] = ARGV[i + 9] .. ' ' .. id
      write('SET', P .. 'idempotency:' .. key_hash, { remembered[key_hash], 'PX', remember_ms })
    end
    answer = 'CREATED ' .. state .. ' ' .. TEXT[NOW] .. ' ' .. (due > NOW and TEXT[due] or '-')
  end
  answers[#answers + 1] = answer
end

if #specs > 0 then
  write('HSET', P .. 'specs', specs)
  write('ZADD', P .. 'tasks', index)
end
finish()
return answers
