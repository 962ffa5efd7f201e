-- prelude: what every script starts with: the clock, the record, the guard, the event. `clocks.lua`,
-- `move.lua` and `write.lua` follow it.
--
-- The store puts in front of it, from domain/lifecycle.rs: RULES (verb -> from, to, event), TERMINAL and
-- PER_AGENT, STATES (sets of states), TIMELINE (how many transitions a task keeps) and TIMELINE_BYTES (how many bytes of
-- them), EVENT_PRIORITY, APPROVALS (the set of an approval's statuses), HUMAN (the lowest rank of a human's role).
--
-- KEYS[1]  prefix of every key of the partition, `<store.prefix>:{p}:`; all keys and channels are derived from it
-- ARGV[1]  offset of the clock, ms; other than 0 only in tests
-- ARGV[2]  actor: who does it, for timelines and events
-- ARGV[3]  events to keep: entries of the stream, a space, bytes
-- ARGV[4]  1 if the store sends this call again because the first answer was lost, else 0
local P = KEYS[1]
-- What the channels of events begin with.
local CHANNELS = string.match(P, '^[^{]+') .. 'events:'
local ACTOR, IS_AGAIN = ARGV[2], ARGV[4] == '1'
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

-- Writes. After the first one nothing may fail, so a script only says what it wants written; finish(),
-- in `write.lua`, checks all of it and then makes it. A script reads before it calls finish(), and only
-- returns after it. Each write: command, key, list of arguments.
local writes = {}
-- Keys that are known to have the type that they are to have.
local typed = {}
-- Writes that are made by one call for each set however many tasks moved.
local gone, come, opened, rung, finished = {}, {}, {}, {}, {}
-- Agents that the reaper must look at: name -> at the latest when, ms.
local watched = {}
-- Timers that changed: task id -> when, or '-'. Figures of the report: figure -> group -> how many more; histograms:
-- name -> group -> bucket -> how many more.
local timed, counted, measured = {}, {}, {}
-- Events: their types, and beside them the fields of the log entry.
local said, entry = {}, {}

-- How many arguments one call gets at the most: Lua unpacks no more than 8,000, and each command stays
-- short. Even, so that names and values stay together.
local PIECE = 1000

-- Has finish() run `command` on `key` with this list, in pieces if it is long.
local function write(command, key, list)
  writes[#writes + 1] = { command, key, list }
end

-- The values of these fields of a hash, of which there must be some; `false` for each that is missing.
local function read_fields(key, fields)
  typed[key] = true
  if #fields <= PIECE then
    return redis.call('HMGET', key, unpack(fields))
  end
  local values = {}
  for first = 1, #fields, PIECE do
    local piece =
      redis.call('HMGET', key, unpack(fields, first, math.min(first + PIECE - 1, #fields)))
    for nth, value in ipairs(piece) do
      values[first + nth - 1] = value
    end
  end
  return values
end

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

-- After how long the reaper looks again at an agent that has tasks or a pause but no session, ms.
local IDLE = 60000

-- Has the reaper look at the agent at this time, or before. So the agent is in the roster.
local function look_at(agent, at)
  local planned = watched[agent]
  if not planned or at < planned then
    watched[agent] = at
  end
end

local function ring(bell, count)
  rung[bell] = (rung[bell] or 0) + (count or 1)
end

-- A task's record is one string, so that a batch is read by one call and written by one:
--
--   state n attempt rank since approval holder said timer human sla retries lost limit due version ended
--   agent type priority trace traceparent bytes max_retries timeout parent source cascade
--   actions begin start finish percent stands target
--   <when, ms> <verb> <state> <actor> <attempt>[ <reason, a JSON string>]      one line for each of `n` transitions
--
-- `-` stands for none. The first line changes; the second only with the priority, the third with a promise that is
-- moved or made anew; of the transitions the first is kept, which says who submitted the task and when, and the newest.
--   since    when it came to its state, ms
--   holder   who holds the newest attempt: the lease of a claim as the store keeps it, 22 characters;
--            or the caller, as `key:ops`, that took the task itself
--   said     digest of the report that ended this attempt, of a question with `?` in front;
--            `-` if no report has
--   timer    when its next threshold passes, ms: while it is open, its score in `timers`, or `-` if it is not there
--   human    how long it has waited for humans while it could have gone on, ms; the wait under way apart
--   sla      what became of its clocks, a sum; see `clocks.lua`
--   version  of the content: 1, and one more for every time that an approver changed the payload
--   bytes    how many its spec has in version 1
--   cascade  what becomes of it when its parent is cancelled, `cancel` or `continue`; `-`: it has none
--   ended    rank of the role of the human who ended the task; `-` if no human did
--   actions  what is done when a threshold passes, each `<bit of the threshold><action>[:<argument>]`, joined by commas;
--            the first of its line, so that no line but a transition begins with a number
--   begin    since when its clocks run, ms
--   start    when the first attempt must have begun, ms; `finish`: when it must be finished
--   percent  after how much of the time to warn
--   stands   1 if its clocks stand still while it waits for a human, else 0
--   target   the promise in the client's words, a JSON string in which `\u0020` stands for a space
local known, changed = {}, {}

-- What the second line begins with.
local FACTS = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)'

local function parse(id, record)
  local state, n, attempt, rank, since, approval, holder, said, more =
    string.match(record, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) ()')
  local line = string.find(record, '\n', more, true)
  local detail, rest = string.sub(record, more, line - 1), string.sub(record, line + 1)
  local agent, type, priority, trace, traceparent, bytes = string.match(rest, FACTS)
  return {
    id = id, state = state, n = tonumber(n), attempt = tonumber(attempt), rank = rank, since = since, approval = approval,
    holder = holder, said = said, detail = detail, rest = rest,
    agent = agent, type = type, priority = priority, bytes = bytes,
    trace = trace ~= '-' and trace or nil, traceparent = traceparent ~= '-' and traceparent or nil,
    -- Room for what comes later: a table that grows costs more than all of this.
    details = nil, promise = nil, added = nil, more = nil,
  }
end

-- The rarely needed part of a record's first line; what is changed in it is written with the next move.
local function detail(task)
  local d = task.details
  if not d then
    local timer, human, sla, retries, lost, limit, due, version, ended =
      string.match(task.detail, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
    d = { timer = timer, human = human, sla = tonumber(sla), retries = retries, lost = lost, limit = limit, due = due,
      version = version, ended = ended }
    task.details = d
  end
  return d
end

-- The rarely needed part of the second line: max_retries, timeout, parent.
local function facts(task)
  return string.match(task.rest, '^%S+ %S+ %S+ %S+ %S+ %S+ (%S+) (%S+) (%S+)')
end

-- Reads the tasks of these ids, of which there must be some; load() then gives each.
local function fetch(ids)
  for nth, record in ipairs(read_fields(P .. 'records', ids)) do
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
  local line = d and d.timer .. ' ' .. d.human .. ' ' .. TEXT[d.sla] .. ' ' .. d.retries .. ' ' .. d.lost .. ' ' .. d.limit .. ' '
    .. d.due .. ' ' .. d.version .. ' ' .. d.ended
  return task.state .. ' ' .. TEXT[task.n] .. ' ' .. TEXT[task.attempt] .. ' ' .. task.rank .. ' ' .. task.since .. ' '
    .. task.approval .. ' ' .. task.holder .. ' ' .. task.said .. ' ' .. (line or task.detail) .. '\n' .. task.rest .. (task.added or '')
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

-- Why the caller may not report on the attempt; nil if it may.
--
-- attempt  which, or '' for the newest
-- holder   what the record must say: the lease as the store keeps it, or the caller
-- said     digest of a report that ends the attempt, '' of another
local function barred_report(task, verb, attempt, holder, said)
  if not task then
    return 'UNKNOWN'
  end
  local is_held = RULES[verb].from[task.state]
  local is_holder = task.holder == holder and (attempt == '' or task.attempt == tonumber(attempt))
  if is_held and is_holder then
    return nil
  end
  if attempt ~= '' and not is_holder then
    -- Nothing that a guess could learn from.
    return 'LEASE ' .. task.attempt
  end
  if is_holder and said ~= '' and task.said ~= '-' then
    if task.said == said then
      return 'REPEATED ' .. task.state
    end
    -- A question ends the lease, and has no outcome that another could differ from.
    if string.sub(task.said, 1, 1) ~= '?' then
      return 'MISMATCH'
    end
  end
  if is_held then
    return 'HOLDER ' .. (string.find(task.holder, ':', 1, true) and task.holder or '-')
  end
  if task.state == 'cancelled' then
    return 'CANCELLED'
  end
  if TERMINAL[task.state] or attempt == '' then
    return 'ILLEGAL ' .. task.state
  end
  return 'LEASE ' .. task.attempt
end

-- What the events of tasks with the same priority have in common after the type, each made once.
local HEADS = setmetatable({}, {
  __index = function(heads, priority)
    local head = '","priority":"' .. EVENT_PRIORITY[priority] .. '","source_agent":"orchestrator","trace_id":'
    heads[priority] = head
    return head
  end,
})

-- Announces something about the task, or about none if it has no id; `payload` is JSON. In one piece: every string that a
-- script makes costs by its length.
local function say(event, task, payload)
  local size = #said + 1
  said[size] = event
  entry[size * 2 - 1], entry[size * 2] = 'e',
    '"event_type":"' .. event .. HEADS[task.priority] .. (task.trace and '"' .. task.trace .. '"' or 'null')
      .. (task.id and ',"task_id":"' .. task.id .. '","payload":' or ',"task_id":null,"payload":') .. payload
      .. (task.traceparent and ',"metadata":{"traceparent":"' .. task.traceparent .. '"}}' or ',"metadata":{}}')
end

-- Announces that an agent came or went; its sessions of the first partition speak for all.
local function say_agent(event, agent, worker)
  if not string.find(P, '{0}', 1, true) then
    return
  end
  say(event, { priority = 'P2' }, '{"agent":"' .. agent .. '","worker":' .. (worker and '"' .. worker .. '"' or 'null') .. '}')
end

-- Drops the oldest transitions of a timeline that is too long; never the first, nor those that are added now.
local function shorten(task)
  local rest = task.rest
  local promise = string.find(rest, '\n', 1, true)
  local submission = string.find(rest, '\n', promise + 1, true)
  local first = submission and string.find(rest, '\n', submission + 1, true)
  if not first then
    return
  end
  local excess = #rest + #task.added - TIMELINE_BYTES
  local last = first
  while last <= #rest and (task.n > TIMELINE or last - first < excess) do
    last = string.find(rest, '\n', last + 1, true) or #rest + 1
    task.n = task.n - 1
  end
  task.rest = string.sub(rest, 1, first - 1) .. string.sub(rest, last)
end

-- What the newest transition had in common with others of its call, so that those of a batch are put together once.
local alike = {}

-- Whether this transition is like the newest one, but for its task.
local function is_alike(task, verb, from, reason, event, more, actor)
  return alike.verb == verb and alike.from == from and alike.state == task.state
    and alike.attempt == task.attempt and alike.agent == task.agent and alike.type == task.type
    and alike.priority == task.priority and alike.actor == actor and alike.event == event
    and alike.reason == reason and alike.more == more
end

-- Adds to the task's timeline what `verb` did to it, and announces it.
--
-- from    the state that it was in, or nil
-- reason  why, a JSON string, or nil
-- event   the event's type where it is not the verb's own
-- more    more members of the event's payload, JSON from the comma on, or nil
-- actor   who did it, where it is not the caller
local function note(task, verb, from, reason, event, more, actor)
  actor, event = actor or ACTOR, event or RULES[verb].event
  if not is_alike(task, verb, from, reason, event, more, actor) then
    local attempt = TEXT[task.attempt]
    alike = {
      verb = verb, from = from, state = task.state, attempt = task.attempt, agent = task.agent,
      type = task.type, priority = task.priority, actor = actor, event = event, reason = reason, more = more,
      line = '\n' .. TEXT[NOW] .. ' ' .. verb .. ' ' .. task.state .. ' ' .. actor .. ' ' .. attempt
        .. (reason and ' ' .. reason or ''),
      payload = '{"type":"' .. task.type .. '","status":"' .. task.state .. '","previous_status":'
        .. (from and '"' .. from .. '"' or 'null') .. ',"verb":"' .. verb .. '","agent":"' .. task.agent
        .. '","attempt":' .. attempt .. ',"actor":"' .. actor .. '","reason":' .. (reason or 'null')
        .. (more or '') .. '}',
    }
  end
  task.n = task.n + 1
  task.added = task.added and task.added .. alike.line or alike.line
  if task.n > TIMELINE or #task.rest + #task.added > TIMELINE_BYTES then
    shorten(task)
  end
  changed[task.id] = task
  say(event, task, alike.payload)
end

-- RFC 3339 of seconds since 1970 without the zone, each made once; the calendar is Hinnant's days-to-civil algorithm.
local SECONDS = setmetatable({}, { __index = function(texts, seconds)
  local floor = math.floor
  local z = floor(seconds / 86400) + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local text = string.format('%04d-%02d-%02dT%02d:%02d:%02d.', yoe + era * 400 + (month <= 2 and 1 or 0), month,
    doy - floor((153 * mp + 2) / 5) + 1, floor(seconds / 3600) % 24, floor(seconds / 60) % 60, seconds % 60)
  texts[seconds] = text
  return text
end })

-- RFC 3339 of milliseconds since 1970.
local function iso(ms)
  return SECONDS[math.floor(ms / 1000)] .. string.format('%03dZ', ms % 1000)
end
