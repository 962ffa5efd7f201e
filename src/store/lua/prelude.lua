-- prelude: what every script begins with: the clock, the record, the guard and the event.
-- `clocks.lua`, `move.lua` and `write.lua` follow it.
--
-- The store puts tables before it, from domain/lifecycle.rs and others: RULES (verb -> from, to,
-- event), STATES, TERMINAL and PER_AGENT (sets of states), TIMELINE (how many transitions a task
-- keeps), TIMELINE_BYTES (how many bytes of them), EVENT_PRIORITY, APPROVALS (the set of statuses
-- of an approval) and HUMAN (the lowest rank of a role of humans).
--
-- KEYS[1]  prefix of every key of the partition, `<store.prefix>:{p}:`. All keys and channels are
--          derived from it.
-- ARGV[1]  offset of the clock, ms; other than 0 only in tests
-- ARGV[2]  actor, for timelines and events
-- ARGV[3]  limits of the event log: `<entries> <bytes>`
-- ARGV[4]  1 if the store sends this call again because the first answer was lost, else 0
local P = KEYS[1]
-- The prefix of the channels of events.
local CHANNELS = string.match(P, '^[^{]+') .. 'events:'
local ACTOR, IS_AGAIN = ARGV[2], ARGV[4] == '1'
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[1]

-- Whole numbers as text, each printed once. Joining a number or passing it to redis.call prints it
-- again, which costs more than the rest of a field, and `..` keeps only 14 digits.
local TEXT = setmetatable({}, {
  __index = function(texts, number)
    local text = string.format('%.0f', number)
    texts[number] = text
    return text
  end,
})

-- Writes: command, key and list of arguments of each. No write after the first may fail, so a
-- script only collects its writes. finish(), in `write.lua`, checks all of them and then makes
-- them. A script reads before it calls finish(), and only returns after it.
local writes = {}
-- Keys whose type is known to be right.
local typed = {}
-- Writes that need one call per set, however many tasks moved.
local gone, come, opened, woken, finished = {}, {}, {}, {}, {}
-- Agents that the reaper must look at: name -> latest time, ms.
local watched = {}
-- Timers that changed: task id -> time, or '-'. Figures of the report: figure -> group ->
-- increment. Histograms: name -> group -> bucket -> increment.
local timed, counted, measured = {}, {}, {}
-- Events: their types, and the fields of the log entry.
local emitted, entry = {}, {}

-- The largest number of arguments of one call: Lua unpacks at most 8,000, and each command stays
-- short. It is even, so that names and values stay together.
local PIECE = 1000

-- Adds `command` on `key` with this list to the writes, in pieces if the list is long.
local function write(command, key, list)
  writes[#writes + 1] = { command, key, list }
end

-- Returns the values of these fields of a hash, at least one; `false` for each missing one.
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

-- Returns an optional argument as a record has it.
local function or_none(text)
  return text ~= '' and text or '-'
end

local function set_of(state, agent)
  return P .. state .. (PER_AGENT[state] and ':' .. agent or '')
end

-- How often the reaper looks at an agent that has tasks or a pause but no session, ms.
local IDLE = 60000

-- Makes the reaper look at the agent at this time or before, which puts it into the roster.
local function look_at(agent, at)
  local planned = watched[agent]
  if not planned or at < planned then
    watched[agent] = at
  end
end

local function wake(name, count)
  woken[name] = (woken[name] or 0) + (count or 1)
end

-- A task's record is one string, so that one call reads or writes a whole batch:
--
--   state n attempt rank since approval holder report timer human sla retries lost limit due version
--     ended
--   agent type priority trace traceparent title bytes max_retries timeout parent source cascade
--   actions begin start finish percent stands target
--   <when, ms> <verb> <state> <actor> <attempt>[ <reason, a JSON string>]
--
-- The first line is shown in two parts. The last form is one line for each of `n` transitions.
-- `-` stands for an absent value. The first line changes. The second changes only with the
-- priority, and the third only with a deadline. The timeline keeps its first transition, which says
-- who submitted the task and when, and the newest ones.
--   since    when the task came to its state, ms
--   holder   who holds the newest attempt: the lease of a claim as the store keeps it,
--            22 characters, or the caller that took the task itself, such as `key:ops`
--   report   digest of the report that ended this attempt, or of an approval request with `?`
--            before it; `-` if there is no report
--   timer    when the next SLA threshold passes, ms: the score of an open task in `timers`; `-` if
--            it is not there
--   human    how long the task waited for humans while it could have continued, ms, without the
--            current wait
--   sla      the results of its SLA clocks, a sum; see `clocks.lua`
--   version  of the content: 1, and one more for every change of the payload by an approver
--   title    what the task is about, a JSON string in which the character 31 is a space
--   bytes    size of its spec in version 1
--   cascade  what happens when its parent is cancelled, `cancel` or `continue`; `-` if it has none
--   ended    rank of the role of the human that ended the task; `-` if no human did
--   actions  what to do when a threshold passes, each
--            `<bit of the threshold><action>[:<argument>]`, joined by commas. It is the first of
--            its line, so that only transitions begin with a number.
--   begin    when its clocks start to run, ms
--   start    deadline of the start of the first attempt, ms; `finish`: deadline of its end
--   percent  the share of the time after which to warn
--   stands   1 if its clocks stop while it waits for a human, else 0
--   target   the SLA target in the client's words, a JSON string in which the character 31 is a space
local known, changed = {}, {}

-- The beginning of the second line: agent, type, priority, the three optional words (mostly none) as
-- one, bytes.
local FACTS = '^(%S+) (%S+) (%S+) (%S+ %S+ %S+) (%S+)'

-- Sets the optional words of the second line that the task has.
local function set_words(task, words)
  if words ~= '- - -' then
    local trace, traceparent, title = string.match(words, '^(%S+) (%S+) (%S+)$')
    task.trace, task.traceparent = trace ~= '-' and trace or nil, traceparent ~= '-' and traceparent or nil
    task.title = title ~= '-' and string.gsub(title, '\31', ' ') or nil
  end
end

local function parse(id, record)
  local state, n, attempt, rank, since, approval, holder, report, more =
    string.match(record, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) ()')
  local line = string.find(record, '\n', more, true)
  local detail, rest = string.sub(record, more, line - 1), string.sub(record, line + 1)
  local agent, type, priority, words, bytes = string.match(rest, FACTS)
  local task = {
    id = id, state = state, n = tonumber(n), attempt = tonumber(attempt), rank = rank, since = since, approval = approval,
    holder = holder, report = report, detail = detail, rest = rest,
    agent = agent, type = type, priority = priority, bytes = bytes,
    -- These reserve room for later fields: a table that grows costs more than all of this.
    trace = nil, traceparent = nil, title = nil, details = nil, promise = nil, added = nil, more = nil,
  }
  set_words(task, words)
  return task
end

-- Returns the rarely needed part of a record's first line. The next move writes what changes in it.
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

-- Returns the rarely needed part of the second line: max_retries, timeout, parent.
local function facts(task)
  return string.match(task.rest, '^%S+ %S+ %S+ %S+ %S+ %S+ %S+ (%S+) (%S+) (%S+)')
end

-- Reads the tasks of these ids, at least one. load() then returns each.
local function fetch(ids)
  for nth, record in ipairs(read_fields(P .. 'records', ids)) do
    if record and not known[ids[nth]] then
      known[ids[nth]] = parse(ids[nth], record)
    end
  end
end

-- Returns the task, or nil if there is none. The same id gives the same table, so that a call that
-- names a task twice moves it once.
local function load(id)
  if not known[id] then
    fetch({ id })
  end
  return known[id]
end

-- Returns every `width`-th argument from `first` on: the ids of a call about several tasks.
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
    .. task.approval .. ' ' .. task.holder .. ' ' .. task.report .. ' ' .. (line or task.detail) .. '\n' .. task.rest .. (task.added or '')
end

-- Returns why `verb` is not allowed in the state of the task; nil if it is.
local function barred(task, verb)
  if not task then
    return 'UNKNOWN'
  end
  if not RULES[verb].from[task.state] then
    return 'ILLEGAL ' .. task.state
  end
end

-- Returns why the caller may not report on the attempt; nil if it may.
--
-- attempt  the number of the attempt, or '' for the newest
-- holder   what the record must have: the lease as the store keeps it, or the caller
-- report   digest of a report that ends the attempt, '' of any other
local function barred_report(task, verb, attempt, holder, report)
  if not task then
    return 'UNKNOWN'
  end
  local is_held = RULES[verb].from[task.state]
  local is_holder = task.holder == holder and (attempt == '' or task.attempt == tonumber(attempt))
  if is_held and is_holder then
    return nil
  end
  if attempt ~= '' and not is_holder then
    -- The answer must not help a caller that guesses.
    return 'LEASE ' .. task.attempt
  end
  if is_holder and report ~= '' and task.report ~= '-' then
    if task.report == report then
      return 'REPEATED ' .. task.state
    end
    -- An approval request ends the lease and has no outcome, so no other report can differ from it.
    if string.sub(task.report, 1, 1) ~= '?' then
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

-- The common part of the events of tasks with the same priority, after the type, each made once.
local HEADS = setmetatable({}, {
  __index = function(heads, priority)
    local head = '","priority":"' .. EVENT_PRIORITY[priority] .. '","source_agent":"orchestrator","trace_id":'
    heads[priority] = head
    return head
  end,
})

-- Adds an event about the task, or about no task if it has no id. `payload` is JSON. The event is
-- joined in one step: every string that a script makes costs by its length.
local function emit(event, task, payload)
  local size = #emitted + 1
  emitted[size] = event
  entry[size * 2 - 1], entry[size * 2] = 'e',
    '"event_type":"' .. event .. HEADS[task.priority] .. (task.trace and '"' .. task.trace .. '"' or 'null')
      .. (task.id and ',"task_id":"' .. task.id .. '","payload":' or ',"task_id":null,"payload":') .. payload
      .. (task.traceparent and ',"metadata":{"traceparent":"' .. task.traceparent .. '"}}' or ',"metadata":{}}')
end

-- Returns the beginning of the payload of an event about the task: its type and its title.
local function heading(task)
  return '{"type":"' .. task.type .. (task.title and '","title":' .. task.title or '"')
end

-- Adds the event that an agent connected or disconnected. The sessions of the first partition count
-- for all.
local function emit_agent(event, agent, worker)
  if not string.find(P, '{0}', 1, true) then
    return
  end
  emit(event, { priority = 'P2' }, '{"agent":"' .. agent .. '","worker":' .. (worker and '"' .. worker .. '"' or 'null') .. '}')
end

-- Deletes the oldest transitions of a timeline that is too long, but never the first one, nor those
-- that are added now.
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

-- The common part of the newest transition, so that the transitions of a batch are joined once.
local alike = {}

-- Returns whether this transition equals the newest one except for its task.
local function is_alike(task, verb, from, reason, event, more, actor)
  return alike.verb == verb and alike.from == from and alike.state == task.state
    and alike.attempt == task.attempt and alike.agent == task.agent and alike.type == task.type
    and alike.priority == task.priority and alike.actor == actor and alike.event == event
    and alike.reason == reason and alike.more == more and alike.title == task.title
end

-- Adds the transition by `verb` to the task's timeline, and its event.
--
-- from    the state before, or nil
-- reason  a JSON string, or nil
-- event   the type of the event, if it is not that of the verb
-- more    more members of the event's payload, JSON from the comma on, or nil
-- actor   the actor, if it is not the caller
local function note(task, verb, from, reason, event, more, actor)
  actor, event = actor or ACTOR, event or RULES[verb].event
  if not is_alike(task, verb, from, reason, event, more, actor) then
    local attempt = TEXT[task.attempt]
    alike = {
      verb = verb, from = from, state = task.state, attempt = task.attempt, agent = task.agent,
      type = task.type, priority = task.priority, actor = actor, event = event, reason = reason, more = more,
      title = task.title,
      line = '\n' .. TEXT[NOW] .. ' ' .. verb .. ' ' .. task.state .. ' ' .. actor .. ' ' .. attempt
        .. (reason and ' ' .. reason or ''),
      payload = heading(task) .. ',"status":"' .. task.state .. '","previous_status":'
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
  emit(event, task, alike.payload)
end

-- Returns seconds since 1970 as RFC 3339 without the zone, each made once. The calendar is
-- Hinnant's days-to-civil algorithm.
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

-- Returns milliseconds since 1970 as RFC 3339.
local function iso(ms)
  return SECONDS[math.floor(ms / 1000)] .. string.format('%03dZ', ms % 1000)
end
