-- call: what one call works on: its arguments, the clock, and the writes that it collects.
--
-- KEYS[1]  prefix of every key of the partition, `<store.prefix>:{p}:`. All keys and channels are
--          derived from it.
-- ARGV[1]  offset of the clock, ms; other than 0 only in tests
-- ARGV[2]  actor, for timelines and events
-- ARGV[3]  limits of the event log: `<entries> <bytes>`, and ` listeners` if a client of any node of
--          a cluster listens to channels of events
-- ARGV[4]  1 if the store sends this call again because the first answer was lost, else 0
--
-- The clock, ms, is `NOW`, and `now` as text.
local P, ACTOR, IS_AGAIN, NOW, now

-- Whole numbers as text, each printed once. Joining a number or passing it to redis.call prints it
-- again, which costs more than the rest of a field, and `..` keeps only 14 digits.
local TEXT
local PRINTED = {
  __index = function(texts, number)
    local text = string.format('%.0f', number)
    texts[number] = text
    return text
  end,
}

-- Writes: command, key and list of arguments of each, and whether a score of it may be no number.
-- No write after the first may fail, so a script only collects its writes. finish() checks all of
-- them and then makes them. A script reads before it calls finish(), and only returns after it.
local writes
-- Keys whose type is known to be right.
local typed
-- Writes that need one call per set, however many tasks moved: key -> members, key -> scores and
-- members, and the same with scores from records, which may be no numbers.
local gone, come, ranked
-- Changes of the counters of open tasks, wake-ups by name, and ended tasks, joined by commas.
local opened, woken, finished
-- Agents that the reaper must look at: name -> latest time, ms.
local watched
-- What the parts of approvals and the findings remember during the call.
local approvals, findings

-- Begins a call. A library keeps its locals from one call to the next, so each part with locals
-- that belong to one call has such a function.
local function begin_call()
  P, ACTOR, IS_AGAIN = KEYS[1], ARGV[2], ARGV[4] == '1'
  local clock = redis.call('TIME')
  NOW = clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[1]
  TEXT = setmetatable({}, PRINTED)
  now = TEXT[NOW]
  writes, typed, gone, come, ranked = {}, {}, {}, {}, {}
  opened, woken, finished, watched = {}, {}, {}, {}
  approvals, findings = {}, {}
end

-- The largest number of arguments of one call: Lua unpacks at most 8,000, and each command stays
-- short. It is even, so that names and values stay together.
local PIECE = 1000

-- Adds `command` on `key` with this list to the writes, in pieces if the list is long.
local function write(command, key, list, is_unsure)
  writes[#writes + 1] = { command, key, list, is_unsure }
end

-- Adds the same unless the list is empty.
local function write_all(command, key, list, is_unsure)
  if #list > 0 then
    write(command, key, list, is_unsure)
  end
end

-- Returns the values of these fields of a hash, in order; `false` for each missing one.
local function read_fields(key, fields)
  if #fields == 0 then
    return {}
  end
  typed[key] = true
  if #fields <= PIECE then
    return redis.call('HMGET', key, unpack(fields))
  end
  local values = {}
  for first = 1, #fields, PIECE do
    local last = math.min(first + PIECE - 1, #fields)
    for nth, value in ipairs(redis.call('HMGET', key, unpack(fields, first, last))) do
      values[first + nth - 1] = value
    end
  end
  return values
end

-- Returns an argument that may be left out; nil for ''.
local function given(argument)
  return argument ~= '' and argument or nil
end

local function wake(name, count)
  woken[name] = (woken[name] or 0) + (count or 1)
end
