-- events: what the event log gets to know of a task.
-- Needs  json, shorten
--
-- An event is a fact in a few words, of which readers make the JSON (facts.rs), or the JSON itself,
-- from `"event_type"` to the closing brace, if it has more to say.

-- The overhead of an event in the log besides its text, bytes: its place, and the frame of its
-- entry.
local EVENT_FRAME = 64

-- The events of the call in order, in runs of the same kind: kind and texts. A kind has the type of
-- its events and, of facts, the words that they share: type, verb, state before or `-`, state,
-- attempt, actor, subject, type of the task, its priority, and a reason if there is one.
local runs
local newest_run
-- How many events the call has.
local event_count

local function begin_events()
  runs, newest_run, event_count = {}, nil, 0
end

-- Adds events of this kind.
local function tell_all(kind, texts)
  newest_run = { kind = kind, texts = texts }
  runs[#runs + 1] = newest_run
  event_count = event_count + #texts
end

-- Adds an event.
local function tell_log(kind, text)
  if not newest_run or newest_run.kind ~= kind then
    tell_all(kind, {})
  end
  local texts = newest_run.texts
  texts[#texts + 1] = text
  event_count = event_count + 1
end

-- Adds an event, JSON from what follows its type.
local function emit_json(event, json)
  tell_log({ event = event }, '"event_type":"' .. event .. json)
end

-- Adds an event about the task. `rest` is its payload after the type and the title, JSON from the
-- comma on.
local function emit(event, task, rest)
  local status, labels = task.status, labels_of(task)
  local payload = heading_json(status.kind, labels) .. rest .. '}'
  emit_json(event, event_json(task.id, status.priority, status.agent, labels, payload))
end

-- Adds the event that an agent connected or disconnected, or is paused. The first partition counts
-- for all. `rest` is JSON from the comma on.
local function emit_agent(event, agent, rest)
  if find(P, '{0}', 1, true) then
    local name, tenant = string.match(agent, '^([^@]+)@?(.*)$')
    emit_json(event, '","priority":"medium","source_agent":"orchestrator","trace_id":null'
      .. ',"task_id":null' .. (tenant ~= '' and ',"tenant":"' .. tenant .. '"' or '')
      .. ',"payload":{"agent":"' .. name .. '"' .. rest .. '},"metadata":{}}')
  end
end

-- Returns the kind of the transitions by `verb` to this status.
--
-- from    the state before, or nil
-- reason  a JSON string, or nil
-- event   the type of the event, if it is not that of the verb
-- actor   the actor, if it is not the caller
local function kind_of(status, verb, from, reason, event, actor)
  actor, event = actor or ACTOR, event or RULES[verb].event
  local state, attempt, why = status.state, status.attempt, reason and ' ' .. reason or ''
  return {
    event = event, has_labels = status.labels ~= '-',
    line = '\n' .. now .. RULES[verb].letter .. STATES[state].letter .. ' ' .. actor .. ' '
      .. attempt .. why,
    words = event .. ' ' .. verb .. ' ' .. (from or '-') .. ' ' .. state .. ' ' .. attempt .. ' '
      .. actor .. ' ' .. status.agent .. ' ' .. status.kind .. ' ' .. status.priority .. why,
  }
end

-- A record of this size may have too many transitions.
local LONG = TIMELINE * 30

-- Adds a transition of this kind to the timeline of the task, and its event.
--
-- more    more members of the event's payload, JSON from the comma on, or nil
-- report  the digest of the report that caused it, or nil
local function note(task, kind, more, report)
  local added, line = task.added, kind.line
  if report then
    line = line .. ' =' .. report
  end
  if added then
    task.added = added .. line
  else
    task.added = line
    changed[#changed + 1] = task
  end
  if #task.record > LONG then
    shorten(task)
  end
  if more then
    local json = json_of_note(task, kind, more)
    tell_all(kind.as_json, { json })
  else
    tell_log(kind, kind.has_labels and task.id .. ' ' .. labels_of(task) or task.id)
  end
end
