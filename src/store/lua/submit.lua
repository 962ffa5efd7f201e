-- submit: stores submitted tasks, or finds that they are repetitions.
-- Needs  finish, approval, terms, index
--
-- ARGV[5]   how long to keep an idempotency key, ms
-- ARGV[6]   how many open tasks a caller may have in this partition; 0 for any number
-- ARGV[7…]  the row of each task: ID, TERMS, SPEC and GROUPS, and then one argument for each
--           letter in GROUPS, in that order; row.rs lists all of them
--
-- Returns  for each task `CREATED <state> <now, ms> <due, ms, or ->`, `REPLAY <id>` (the task of
--          the key), `MISMATCH` (the key was used with another body), `PARENT <state, or gone>` (the
--          parent has ended, or does not exist) or `QUOTA` (the caller has too many open tasks)
local specs, accepted, timers, answers = {}, {}, {}, {}
-- The tasks that this call has stored under the hash of a key.
local remembered = {}

-- How many tasks of a caller may be open here; 0 for any number.
local MOST = tonumber(ARGV[6])
-- The callers, by name: the key of the set of their open tasks, in which some have ended already;
-- how many more may be open; whether ended ones were looked for; the new ones.
local callers = {}

-- How many tasks of such a set are looked at if there is no room, and how long it is kept after the
-- newest submission, s.
local SAMPLE, OWNED_KEPT = 256, 2592000

-- Takes tasks that have ended out of a set, as far as they are among those that are looked at.
-- Returns how many.
local function forget_ended(key)
  local ids, ended, letter = redis.call('SRANDMEMBER', key, SAMPLE), {}, TIMES_WIDTH + 1
  for nth, record in ipairs(read_fields(P .. 'records', ids)) do
    local state = record and STATES[STATE_OF[string.sub(record, letter, letter)]]
    if not record or state and state.is_final then
      push(ended, ids[nth])
    end
  end
  write_all('SREM', key, ended)
  return #ended
end

-- Returns the entry of a caller.
local function room_of(caller)
  local room = callers[caller]
  if not room then
    local key = P .. 'owned:' .. caller
    room = { key = key, left = MOST - redis.call('SCARD', key), is_sampled = false, ids = {} }
    callers[caller] = room
  end
  if room.left <= 0 and not room.is_sampled then
    room.left, room.is_sampled = room.left + forget_ended(room.key), true
  end
  return room
end

-- Returns why the parent may have no child with this subject; nil if it may. One of another tenant
-- counts as one that does not exist.
local function barred_parent(id, state, agent)
  if state == 'here' then
    local parent = load(id)
    local is_own = parent
      and string.match(parent.status.agent, '@.*') == string.match(agent, '@.*')
    state = is_own and parent.status.state or 'gone'
  end
  if state == 'gone' or STATES[state].is_final then
    return 'PARENT ' .. state
  end
end

-- The options of move() by the state in which a task begins.
local BEGIN_IN = {}
for state in pairs(RULES.submit.to) do
  BEGIN_IN[state] = { to = state, is_common = true }
end

-- Stores a task. Returns its answer.
local function store(id, terms, spec, group)
  local due = group.start and time_from(NOW, group.start)
  local is_later = due and due > NOW
  local begun = is_later and begin_at(terms, due) or terms.at_once
  local nth = #accepted + 1
  -- The timer of the group in which the task stands.
  local group_timer = timers[nth - (nth - 1) % GROUP_SIZE] or begun.timer
  local has_own = begun.timer ~= group_timer and begun.timer ~= NO_TIME
  local task = {
    id = id, record = content_of(begun, #spec, group.own), content = 1,
    status = has_own and terms.owning or terms.status,
    times = begun.times, added = nil, step = nil, report = nil,
  }
  if is_later then
    edit(task).due = TEXT[due]
  end
  if group.parent then
    append(come, P .. 'children:' .. group.parent_id, now, id)
  end
  local approval, digest, gate
  if group.gate then
    approval, digest, gate = string.match(group.gate, '^(%S+) (%S+)\n(.*)$')
    edit(task).approval = approval
  end
  local step = move(task, 'submit', BEGIN_IN[approval and 'blocked' or waiting_state(task.status)])
  if approval then
    local f = { id = approval, kind = 'gate', by = ACTOR, digest = digest, gate = gate }
    say_approval('approval.requested', task, f, open(task, f, spec))
  end
  local size = #specs
  specs[size + 1], specs[size + 2] = id, spec
  -- A task that waits for a human may have another one, which is set already.
  local is_other = step.resets and timer_in(task) ~= begun.timer
  accepted[nth], timers[nth] = id, is_other and NO_TIME or begun.timer
  local answer = step.answer
  if not answer then
    answer = 'CREATED ' .. step.to .. ' ' .. now .. ' ' .. step.status.due
    step.answer = answer
  end
  return answer
end

-- Stores a task unless its key or its parent prevents that. Returns its answer.
local function submit(id, terms, spec, group)
  local key, digest
  if group.key then
    key, digest = string.match(group.key, '^(%S+) (%S+)')
    local prior = remembered[key] or redis.call('GET', P .. 'idempotency:' .. key)
    if prior then
      local first_digest, first = string.match(prior, '^(.*) (%S+)$')
      local is_same = string.find(group.key .. ' ', ' ' .. first_digest .. ' ', 1, true)
      return is_same and 'REPLAY ' .. first or 'MISMATCH'
    end
  elseif IS_AGAIN and load(id) then
    return 'REPLAY ' .. id
  end
  if group.parent then
    group.parent_id = string.match(group.own, '^%S+')
    local refusal = barred_parent(group.parent_id, group.parent, terms.status.agent)
    if refusal then
      return refusal
    end
  end
  local room = MOST > 0 and room_of(ACTOR)
  if room then
    if room.left <= 0 then
      return 'QUOTA'
    end
    room.left = room.left - 1
    push(room.ids, id)
  end
  if key then
    remembered[key] = digest .. ' ' .. id
    write('SET', P .. 'idempotency:' .. key, { remembered[key], 'PX', ARGV[5] })
  end
  return store(id, terms, spec, group)
end

-- The groups of a task that has none.
local PLAIN = {}

local i = 7
while ARGV[i] do
  local id, text, spec, letters = ARGV[i + ID], ARGV[i + TERMS], ARGV[i + SPEC], ARGV[i + GROUPS]
  i = i + ROW
  local group = PLAIN
  if letters ~= '' then
    group = {}
    for letter in string.gmatch(letters, '.') do
      group[GROUP[letter]], i = ARGV[i], i + 1
    end
  end
  local terms = known_terms[text] or terms_in(text)
  -- One call may carry the submissions of several callers.
  ACTOR = terms.by
  answers[#answers + 1] = submit(id, terms, spec, group)
end
write_all('HSET', P .. 'specs', specs)
for _, room in pairs(callers) do
  if #room.ids > 0 then
    write('SADD', room.key, room.ids)
    write('EXPIRE', room.key, { OWNED_KEPT })
  end
end
index_all(accepted, timers)
finish()
return answers
