-- tell: tells subscribers what the call has done. Nothing here can fail a script: what Redis
-- refuses is counted.
-- Needs  log, time

-- How many notifications Redis refused, by kind.
local refused

local function begin_tell()
  refused = nil
end

-- Runs the command of a notification; `false` if Redis refuses it.
local function tell(kind, ...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    refused = refused or {}
    refused[kind] = (refused[kind] or 0) + 1
    return false
  end
  return answer
end

-- Returns the JSON of an event from its type on.
local function json_of(kind, text)
  if not kind.words then
    return text
  end
  local id, labels = string.match(text, '^(%S+) ?(.*)$')
  labels = labels ~= '' and labels or '- - -'
  local agent, priority =
    string.match(kind.words, '^%S+ %S+ %S+ %S+ %S+ %S+ (%S+) %S+ (%S+)')
  local payload = transition_json(kind, labels, '')
  return '"event_type":"' .. kind.event .. event_json(id, priority, agent, labels, payload)
end

-- Publishes an event to Redis subscribers: number `nth` (from 0) of an entry of the log.
local function publish_one(channel, entry, nth, json)
  local ms, sequence = string.match(entry.id, '^(%d+)-(%d+)$')
  local high = string.format('%012x', ms)
  local low = string.format('80%08x%04x%02x', sequence, nth, string.match(P, '{(%d+)}'))
  local time, place = sub(high, 1, 8) .. '-' .. sub(high, 9), sub(low, 1, 4) .. '-' .. sub(low, 5)
  local id = time .. '-7000-' .. place
  local head = '{"event_id":"' .. id .. '","timestamp":"' .. iso(tonumber(ms)) .. '",'
  tell('channels', 'PUBLISH', channel, head .. json)
end

-- Returns the channel of a type if it has subscribers, else false. `patterns` is how many patterns
-- clients listen to.
local function channel_of(event, patterns)
  local channel = string.match(P, '^[^{]+') .. 'events:' .. event
  local answer = patterns == 0 and tell('channels', 'PUBSUB', 'NUMSUB', channel)
  return (patterns > 0 or answer and answer[2] > 0) and channel
end

-- Publishes the events to the subscribers of their channels. A channel without subscribers costs
-- nothing per task.
local function publish_all(entries)
  -- Redis shows a script only the subscribers of its own node.
  local has_listeners = string.find(ARGV[3], 'listeners', 1, true)
  local patterns, channels = has_listeners and 1 or tell('channels', 'PUBSUB', 'NUMPAT'), {}
  for _, entry in ipairs(patterns and entries or {}) do
    local nth = 0
    for _, field in ipairs(entry.fields) do
      local kind = field.run.kind
      if channels[kind.event] == nil then
        channels[kind.event] = channel_of(kind.event, patterns)
      end
      local channel = channels[kind.event]
      for at = field.first, channel and field.first + field.count - 1 or 0 do
        publish_one(channel, entry, nth + at - field.first, json_of(kind, field.run.texts[at]))
      end
      nth = nth + field.count
    end
  end
end

-- Publishes the notifications that wake waiting callers.
local function wake_all()
  for name, count in pairs(woken) do
    tell('wakes', 'PUBLISH', P .. 'wake:' .. name, count)
  end
  if #finished > 0 then
    tell('wakes', 'PUBLISH', P .. 'wake:finished', table.concat(finished, ','))
  end
  for kind, count in pairs(refused or {}) do
    redis.pcall('HINCRBY', P .. 'refused', kind, count)
  end
end
