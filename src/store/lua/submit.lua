-- submit: stores submitted tasks, or finds that they are repetitions.
--
-- ARGV[5]   how long to keep an idempotency key, ms
-- ARGV[6…]  10 for each task:
--   1  id
--   2  the second line of its record
--   3  spec, opaque bytes
--   4  the caller that submits it
--   5  head start, ms
--   6  when it may start, ms; with `+` before it: this long after now
--   7  its SLA: actions, deadline to start, deadline to finish, and the rest of the record's third
--      line. A deadline is ms, with `+` before it this long after the task may start, or `-`.
--   8  hash of the idempotency key, a space, digest of the body; or ''
--   9  approval's id, a space, digest of the content and, in the next lines, the gate (see
--      approval.lua); or ''
--   10 the parent: `here` in this partition; the state of one in another partition, or `gone`; or
--   ''
--
-- Returns  for each task `CREATED <state> <now, ms> <due, ms, or ->`, `REPLAY <id>` (the task of
--          the key), `MISMATCH` (the key was used with another body) or `PARENT <state, or gone>`
--          (the parent has ended, or does not exist)
local remember_ms = ARGV[5]
local specs, index, answers = {}, {}, {}
-- The tasks that this call has stored under the hash of a key.
local remembered = {}

-- Returns a given time, or one that is so long after another; nil if there is none.
local function by(start, time)
  return string.byte(time) == 43 and start + string.sub(time, 2) or tonumber(time)
end

-- Returns why the parent may have no child; nil if it may.
local function barred_parent(id, state)
  if state == 'here' then
    state = load(id) and load(id).state or 'gone'
  end
  if state == 'gone' or TERMINAL[state] then
    return 'PARENT ' .. state
  end
end

-- Stores the task whose arguments begin at `i`. Returns its answer.
local function store(i, parent)
  local id, line, spec = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local due = by(NOW, ARGV[i + 5])
  local start = math.max(due, NOW)
  local rank = TEXT[start - ARGV[i + 4]]
  local actions, start_by, finish_by, more, percent =
    string.match(ARGV[i + 6], '^(%S+) (%S+) (%S+) ((%S+).*)$')
  start_by, finish_by = by(start, start_by), by(start, finish_by)
  local timer = first_timer(start, start_by, finish_by, percent)
  local approval, digest, gate = string.match(ARGV[i + 8], '^(%S+) (%S+)\n(.*)$')
  local agent, type, priority, words = string.match(line, FACTS)
  local shown_due = due > NOW and TEXT[due] or '-'
  local task = {
    id = id, agent = agent, type = type, priority = priority, n = 0, attempt = 0, rank = rank,
    approval = approval or '-', holder = '-', report = '-',
    trace = nil, traceparent = nil, title = nil,
    detail = timer .. ' 0 0 0 0 - ' .. shown_due .. ' 1 -',
    rest = line .. '\n' .. actions .. ' ' .. TEXT[start] .. ' ' .. (start_by and TEXT[start_by] or '-')
      .. ' ' .. (finish_by and TEXT[finish_by] or '-') .. ' ' .. more,
  }
  set_words(task, words)
  if parent then
    append(come, P .. 'children:' .. parent, TEXT[NOW], id)
  end
  local state, score = 'pending', rank
  if approval then
    state, score = 'blocked', NOW
  elseif due > NOW then
    state, score = 'scheduled', due
  end
  if timer ~= '-' then
    write_timer(id, timer)
  end
  move(task, 'submit', state, score)
  if approval then
    local f = { id = approval, kind = 'gate', by = ACTOR, digest = digest, gate = gate }
    say_approval('approval.requested', task, f, open(task, f, spec))
  end
  specs[#specs + 1], specs[#specs + 2] = id, spec
  -- Microseconds: the last three digits keep the order within one call.
  index[#index + 1], index[#index + 2] = TEXT[NOW] .. string.format('%03d', #index / 2), id
  return 'CREATED ' .. state .. ' ' .. TEXT[NOW] .. ' ' .. shown_due
end

-- Stores the task whose arguments begin at `i`, unless its key or its parent prevents that. Returns
-- its answer.
local function submit(i)
  local id = ARGV[i]
  local key, digest = string.match(ARGV[i + 7], '^(%S+) (%S+)$')
  if key then
    local prior = remembered[key] or redis.call('GET', P .. 'idempotency:' .. key)
    if prior then
      local first_digest, first = string.match(prior, '^(%S*) (%S+)')
      return first_digest == digest and 'REPLAY ' .. first or 'MISMATCH'
    end
  elseif IS_AGAIN and load(id) then
    return 'REPLAY ' .. id
  end
  local parent
  if ARGV[i + 9] ~= '' then
    parent = select(3, facts({ rest = ARGV[i + 1] }))
    local refusal = barred_parent(parent, ARGV[i + 9])
    if refusal then
      return refusal
    end
  end
  if key then
    remembered[key] = digest .. ' ' .. id
    write('SET', P .. 'idempotency:' .. key, { remembered[key], 'PX', remember_ms })
  end
  return store(i, parent)
end

for i = 6, #ARGV, 10 do
  -- One call may carry the submissions of several callers.
  ACTOR = ARGV[i + 3]
  answers[#answers + 1] = submit(i)
end
if #specs > 0 then
  write('HSET', P .. 'specs', specs)
  write('ZADD', P .. 'tasks', index)
end
finish()
return answers
