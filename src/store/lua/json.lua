-- json: what events say of a task, as JSON.
-- Needs  record

-- Returns the members of an event's metadata: the trace context of a task, as its record has it.
local function trace_json(word)
  local parent, state = string.match(word, '^([^;]+);?(.*)$')
  if parent == '-' then
    return ''
  end
  local json = '"traceparent":"' .. parent .. '"'
  return state == '' and json
    or json .. ',"tracestate":"' .. string.gsub(state, '\31', ' ') .. '"'
end

-- Returns the JSON of an event about a task after its type. `agent` is its subject, with the tenant
-- if it has one; `labels` are its trace, its traceparent and its title; `payload` is JSON.
local function event_json(id, priority, agent, labels, payload)
  local tenant = string.match(agent, '@(.+)')
  local trace, traceparent = string.match(labels, '^(%S+) (%S+)')
  local trace_id = trace ~= '-' and '"' .. trace .. '"' or 'null'
  return '","priority":"' .. EVENT_PRIORITY[priority] .. '","source_agent":"orchestrator"'
    .. ',"trace_id":' .. trace_id .. ',"task_id":"' .. id .. '"'
    .. (tenant and ',"tenant":"' .. tenant .. '"' or '') .. ',"payload":' .. payload
    .. ',"metadata":{' .. trace_json(traceparent) .. '}}'
end

-- Returns the title in these labels, a JSON string, or nil.
local function title_in(labels)
  local title = string.match(labels, '(%S+)$')
  return title ~= '-' and string.gsub(title, '\31', ' ') or nil
end

-- Returns the beginning of the payload of an event about a task: its type and its title.
local function heading_json(type, labels)
  local title = title_in(labels)
  return '{"type":"' .. type .. '"' .. (title and ',"title":' .. title or '')
end

-- Returns the payload of the event about a transition.
local function transition_json(kind, labels, more)
  local verb, from, to, attempt, actor, agent, type, _, reason =
    string.match(kind.words, '^%S+ (%S+) (%S+) (%S+) (%S+) (%S+) ([^ @]+)%S* (%S+) (%S+) ?(.*)$')
  return heading_json(type, labels) .. ',"status":"' .. to
    .. '","previous_status":' .. (from ~= '-' and '"' .. from .. '"' or 'null')
    .. ',"verb":"' .. verb .. '","agent":"' .. agent .. '","attempt":' .. attempt
    .. ',"actor":"' .. actor .. '","reason":' .. (reason ~= '' and reason or 'null') .. more .. '}'
end

-- Returns the trace, the traceparent and the title of a task.
local function labels_of(task)
  if task.status.labels == '-' then
    return '- - -'
  end
  local own = cut_content(task.record, task.content)
  return own.trace .. ' ' .. own.traceparent .. ' ' .. own.title
end

-- Returns the JSON of an event with `more` in its payload, which all events of a kind have alike. So
-- what stands around the id is made once for tasks without labels.
local function json_of_note(task, kind, more)
  local before, after = kind.before_id, kind.after_id
  if before and task.status.labels == '-' then
    return before .. task.id .. after
  end
  local labels = labels_of(task)
  local payload = transition_json(kind, labels, more)
  local status = task.status
  local json = event_json(task.id, status.priority, status.agent, labels, payload)
  local first, last = find(json, task.id, 1, true)
  kind.as_json = { event = kind.event }
  kind.before_id = '"event_type":"' .. kind.event .. sub(json, 1, first - 1)
  kind.after_id = sub(json, last + 1)
  return '"event_type":"' .. kind.event .. json
end
