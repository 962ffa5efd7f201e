-- prelude: what every script starts with: the clock, the guard, the move, the event.
--
-- The store puts in front of it, from domain/lifecycle.rs: RULES (verb -> from, to, event), TERMINAL and
-- PER_AGENT, STATES (sets of states), TIMELINE (how many transitions a task keeps), EVENT_PRIORITY, APPROVALS (the set of
-- an approval's statuses).
--
-- KEYS[1]  prefix of every key of the partition, `orchestrator:{p}:`; all keys are derived from it
-- ARGV[1]  offset of the clock, ms; other than 0 only in tests
-- ARGV[2]  actor: who does it, for timelines and events
-- ARGV[3]  events to keep, in entries of the stream
-- ARGV[4]  1 if the store sends this call again because the first answer was lost, else 0
local P = KEYS[1]
local ACTOR, EVENTS_KEPT, IS_AGAIN = ARGV[2], ARGV[3], ARGV[4] == '1'
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[1]

-- Whole numbers as text, each made once: whoever joins a number or passes it to redis.call has it printed anew, which
-- costs more than the rest of a field, and `..` keeps only 14 digits.
local TEXT = setmetatable({}, {
  __index = function(texts, number)
    local text = string.format('%.0f', number)
    texts[number] = text
    return text
  end,
})

-- Writes are gathered and made by finish(), one call for each set however many tasks moved.
local gone, come, opened, rung, finished = {}, {}, {}, {}, {}
-- Events: their types, and beside them the fields of the log entry.
local said, entry = {}, {}

local function append(map, key, first, second)
  local list = map[key]
  if not list then
    list = {}
    map[key] = list
  end
  local size = #list
  list[size + 1] = first
  if second then
    list[size + 2] = second
  end
end

-- How an optional argument stands in a record.
local function or_none(text)
  return text ~= '' and text or '-'
end

local function set_of(state, agent)
  return P .. state .. (PER_AGENT[state] and ':' .. agent or '')
end

local function ring(bell, count)
  rung[bell] = (rung[bell] or 0) + (count or 1)
end

-- A task's record is one string, so that a batch is read by one call and written by one:
--
--   state n attempt rank since approval retries lost limit due holder version human sla
--   agent type priority trace traceparent max_retries timeout deadline parent source alert_threshold start_deadline
--   <when, ms> <verb> <state> <actor> <attempt>[ <reason, a JSON string>]      one line for each of `n` transitions
--
-- `-` stands for none. The first line changes, the second never does; of the transitions the first is kept, which says
-- who submitted the task and when, and the newest.
--   since    when it came to its state, ms
--   version  of the content: 1, and one more for every time that an approver changed the payload
--   human    how long it has waited for humans, ms; the wait under way apart
--   sla      which deadlines were announced, a sum: 1 start warned, 2 start violated, 4 finish warned, 8 violated
local known, changed = {}, {}

local function parse(id, record)
  local state, n, attempt, rank, since, approval, detail, rest =
    string.match(record, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) ([^\n]*)\n(.*)$')
  local agent, type, priority, trace, traceparent = string.match(rest, '^(%S+) (%S+) (%S+) (%S+) (%S+)')
  return {
    id = id, state = state, n = tonumber(n), attempt = tonumber(attempt), rank = rank, since = since, approval = approval,
    detail = detail, rest = rest,
    agent = agent, type = type, priority = priority,
    trace = trace ~= '-' and trace or nil, traceparent = traceparent ~= '-' and traceparent or nil,
  }
end

-- The rarely needed part of a record's first line; what is changed in it is written with the next move.
local function detail(task)
  local d = task.details
  if not d then
    d = {}
    d.retries, d.lost, d.limit, d.due, d.holder, d.version, d.human, d.sla =
      string.match(task.detail, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
    task.details = d
  end
  return d
end

-- The rarely needed part of the second line: max_retries, timeout, deadline, parent.
local function facts(task)
  return string.match(task.rest, '^%S+ %S+ %S+ %S+ %S+ (%S+) (%S+) (%S+) (%S+)')
end

-- Reads the tasks of these ids, of which there must be some; load() then gives each.
local function fetch(ids)
  for nth, record in ipairs(redis.call('HMGET', P .. 'records', unpack(ids))) do
    if record and not known[ids[nth]] then
      known[ids[nth]] = parse(ids[nth], record)
    end
  end
end

-- The task, or nil if there is none. The same task twice is the same table: a call that names it twice moves it once.
local function load(id)
  if not known[id] then
    fetch({ id })
  end
  return known[id]
end

-- Every `width`-th argument from `first` on: the ids of a call that names several tasks.
local function ids_of(first, width)
  local ids = {}
  for i = first, #ARGV, width do
    ids[#ids + 1] = ARGV[i]
  end
  return ids
end

local function pack(task)
  local d = task.details
  local line = d and d.retries .. ' ' .. d.lost .. ' ' .. d.limit .. ' ' .. d.due .. ' ' .. d.holder .. ' ' .. d.version .. ' '
     .. d.human .. ' ' .. d.sla
  return task.state .. ' ' .. TEXT[task.n] .. ' ' .. TEXT[task.attempt] .. ' ' .. task.rank .. ' ' .. task.since .. ' '
    .. task.approval .. ' ' .. (line or task.detail) .. '\n' .. task.rest .. (task.added or '')
end

-- Why `verb` may not start from where the task is; nil if it may.
local function barred(task, verb)
  if not task then
    return 'UNKNOWN'
  end
  if not RULES[verb].from[task.state] then
    return 'ILLEGAL ' .. task.state
  end
end

-- Why the caller may not report on the attempt; nil if it may. `attempt` '': the caller must be the holder.
local function barred_report(task, verb, attempt)
  if not task then
    return 'UNKNOWN'
  end
  local is_same
  if attempt == '' then
    is_same = detail(task).holder == ACTOR
  else
    is_same = task.attempt == tonumber(attempt)
  end
  if task.state == 'in_progress' then
    if is_same then
      return nil
    end
    if attempt == '' then
      return 'HOLDER ' .. detail(task).holder
    end
    return 'LEASE ' .. task.attempt
  end
  if is_same and RULES[verb].to[task.state] then
    return 'REPEATED ' .. task.state
  end
  if task.state == 'cancelled' then
    return 'CANCELLED'
  end
  if TERMINAL[task.state] or attempt == '' then
    return 'ILLEGAL ' .. task.state
  end
  return 'LEASE ' .. task.attempt
end

-- What the events of a task have in common, from after the type to before the payload.
local function head(task)
  if not task.head then
    task.head = '","priority":"' .. EVENT_PRIORITY[task.priority] .. '","source_agent":"orchestrator","trace_id":'
      .. (task.trace and '"' .. task.trace .. '"' or 'null') .. ',"task_id":'
      .. (task.id and '"' .. task.id .. '"' or 'null') .. ',"payload":'
  end
  return task.head
end

local function trace_of(task)
  return task.traceparent and '"traceparent":"' .. task.traceparent .. '"' or ''
end

-- Announces something about the task, or about none if it has no id; `payload` is JSON.
local function say(event, task, payload)
  local size = #said + 1
  said[size] = event
  entry[size * 2 - 1], entry[size * 2] = 'e',
    '"event_type":"' .. event .. head(task) .. payload .. ',"metadata":{' .. trace_of(task) .. '}}'
end

-- Announces that an agent came or went; its sessions of the first partition speak for all.
local function say_agent(event, agent, worker)
  if not string.find(P, '{0}', 1, true) then
    return
  end
  say(event, { priority = 'P2' }, '{"agent":"' .. agent .. '","worker":' .. (worker and '"' .. worker .. '"' or 'null') .. '}')
end

-- Moves a task: set, record, timeline and event, or nothing.
--
-- to         where to; where it is already for a verb that stays there
-- score      its place in the set; nil for a verb that stays: the one that it has
-- reason     why, a JSON string, or nil
-- is_popped  whether the task is out of its set already
-- event      the event's type where it is not the verb's own
-- task.more  more members of the event's payload, JSON from the comma on, or nil
local function move(task, verb, to, score, reason, is_popped, event)
  local from = task.state
  if from and from ~= to and not is_popped then
    append(gone, set_of(from, task.agent), task.id)
  end
  if score then
    append(come, set_of(to, task.agent), type(score) == 'number' and TEXT[score] or score, task.id)
  end
  if to ~= from then
    task.since = TEXT[NOW]
    if TERMINAL[to] then
      opened[task.priority] = (opened[task.priority] or 0) - 1
      finished[#finished + 1] = task.id
    elseif not from or TERMINAL[from] then
      opened[task.priority] = (opened[task.priority] or 0) + 1
    end
    if to == 'assigned' then
      ring('agent:' .. task.agent)
    elseif to == 'pending' then
      ring('router')
    elseif to == 'scheduled' then
      ring('promoter')
    end
  end
  task.state, task.n = to, task.n + 1
  local attempt = TEXT[task.attempt]
  if task.n > TIMELINE then
    local rest = task.rest
    local submission = string.find(rest, '\n', 1, true)
    local oldest = string.find(rest, '\n', submission + 1, true)
    task.rest = string.sub(rest, 1, oldest - 1) .. string.sub(rest, (string.find(rest, '\n', oldest + 1, true)))
  end
  task.added = (task.added or '') .. '\n' .. TEXT[NOW] .. ' ' .. verb .. ' ' .. to .. ' ' .. ACTOR .. ' ' .. attempt
    .. (reason and ' ' .. reason or '')
  changed[task.id] = task
  -- In one piece: every string that a script makes costs by its length.
  event = event or RULES[verb].event
  local size = #said + 1
  said[size] = event
  entry[size * 2 - 1], entry[size * 2] = 'e', '"event_type":"' .. event .. head(task) .. '{"type":"' .. task.type
    .. '","status":"' .. to .. '","previous_status":' .. (from and '"' .. from .. '"' or 'null') .. ',"verb":"' .. verb
    .. '","agent":"' .. task.agent .. '","attempt":' .. attempt .. ',"actor":"' .. ACTOR
    .. '","reason":' .. (reason or 'null') .. (task.more or '') .. '},"metadata":{' .. trace_of(task) .. '}}'
end

-- Gives the task to `holder` under a lease; returns until when.
local function hold(task, verb, lease_ms, holder, is_popped)
  local lease_until = NOW + lease_ms
  local d = detail(task)
  local _, timeout = facts(task)
  task.attempt, d.holder = task.attempt + 1, holder
  if timeout ~= '-' then
    d.limit = TEXT[NOW + timeout]
    lease_until = math.min(lease_until, NOW + timeout)
  end
  move(task, verb, 'in_progress', lease_until, nil, is_popped)
  return lease_until
end

-- The wait before attempt number `failures` + 1, ms. `waits`: one for each number of failures, joined by commas.
local function wait_after(failures, waits)
  local nth = 0
  local wait
  for text in string.gmatch(waits, '%d+') do
    nth, wait = nth + 1, text
    if nth == failures then
      break
    end
  end
  return tonumber(wait)
end

-- A failed attempt: another one after `wait` ms (nil: by `waits`), or the end.
local function fail(task, verb, reason, is_retryable, wait, waits)
  local d = detail(task)
  local max_retries = facts(task)
  local failures = d.retries + 1
  if is_retryable and failures <= tonumber(max_retries) then
    local due = NOW + (wait or wait_after(failures, waits))
    d.retries, d.due = TEXT[failures], TEXT[due]
    move(task, verb == 'reap' and verb or 'retry', 'scheduled', due, reason, false, 'task.retrying')
  else
    move(task, verb, 'failed', NOW, reason, false, 'task.failed')
  end
end

-- RFC 3339 of milliseconds since 1970; the calendar is Hinnant's days-to-civil algorithm.
local function iso(ms)
  local floor = math.floor
  local seconds = floor(ms / 1000)
  local z = floor(seconds / 86400) + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', yoe + era * 400 + (month <= 2 and 1 or 0), month,
    doy - floor((153 * mp + 2) / 5) + 1, floor(seconds / 3600) % 24, floor(seconds / 60) % 60, seconds % 60, ms % 1000)
end

-- Tells the Redis subscribers of each event's channel; a channel that nobody hears costs nothing a task.
local function shout(id)
  local patterns = redis.call('PUBSUB', 'NUMPAT')
  local heard, head = {}, nil
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  for index, event in ipairs(said) do
    if heard[event] == nil then
      heard[event] = patterns > 0 or redis.call('PUBSUB', 'NUMSUB', 'orchestrator:events:' .. event)[2] > 0
    end
    if heard[event] then
      local channel = 'orchestrator:events:' .. event
      head = head or string.format('%012x', ms)
      local low = string.format('80%08x%04x%02x', sequence, index - 1, string.match(P, '{(%d+)}'))
      redis.call('PUBLISH', channel, '{"event_id":"' .. string.sub(head, 1, 8) .. '-' .. string.sub(head, 9) .. '-7000-'
        .. string.sub(low, 1, 4) .. '-' .. string.sub(low, 5) .. '","timestamp":"' .. iso(tonumber(ms)) .. '",' .. entry[index * 2])
    end
  end
end

-- Appends all events as one entry of the log; returns the entry's id.
local function log()
  -- `*` never goes back even if the clock does; a moved clock names its time itself.
  local at = tonumber(ARGV[1]) == 0 and '*' or TEXT[NOW] .. '-*'
  return redis.call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS_KEPT, at, unpack(entry))
end

-- Makes the gathered writes; returns the log entry's id, if there were events.
local function finish()
  local records = {}
  for id, task in pairs(changed) do
    local size = #records
    records[size + 1], records[size + 2] = id, pack(task)
  end
  if #records > 0 then
    redis.call('HSET', P .. 'records', unpack(records))
  end
  for set, ids in pairs(gone) do
    redis.call('ZREM', set, unpack(ids))
  end
  for set, scored in pairs(come) do
    redis.call('ZADD', set, unpack(scored))
  end
  for priority, change in pairs(opened) do
    redis.call('HINCRBY', P .. 'open', priority, change)
  end
  local id
  if #said > 0 then
    id = log()
    shout(id)
  end
  for bell, count in pairs(rung) do
    redis.call('PUBLISH', P .. 'bell:' .. bell, count)
  end
  if #finished > 0 then
    redis.call('PUBLISH', P .. 'bell:finished', table.concat(finished, ','))
  end
  return id
end
