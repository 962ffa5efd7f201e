-- log: appends the events of the call to the event log, and trims it.
-- Needs  events

-- The largest number of events in an entry of the log, as many as one call takes, and the largest
-- size of an entry in bytes, unless it holds a single event: a reader of n entries reads at most n
-- times this size.
local EVENTS_PER_ENTRY, ENTRY_BYTES = PIECE / 2, 65536

-- How many facts a field of an entry has at most, and how many bytes more a reader needs for the
-- JSON of each.
local FACTS_PER_FIELD, FACT_FRAME = 100, 512

-- How many marks one trim passes at most. It is more than one only if the limit was lowered. About
-- ten thousand entries lie between that many marks, which takes a few ms.
local MARKS_PASSED = 32

-- The limits of the log: how many entries, how many bytes.
local entries_kept, bytes_kept

-- A mark of the log: how many bytes were written before an entry, and its id, which log() puts
-- there.
local mark

local function begin_log()
  entries_kept, bytes_kept = string.match(ARGV[3], '^(%d+) (%d+)')
  bytes_kept, mark = tonumber(bytes_kept), nil
end

-- Returns at least how many bytes were ever written to the log. If the number is lost, it is that
-- of the newest mark.
local function logged()
  return tonumber(redis.call('GET', P .. 'logged')
    or redis.call('ZRANGE', P .. 'marks', -1, -1, 'WITHSCORES')[2] or 0) or 0
end

-- Deletes the oldest entries beyond the byte limit once the log has `total`: all before the first
-- mark that is within the limit, or a part of them if they are many.
local function trim(total)
  local marks = P .. 'marks'
  local beyond = redis.call('ZCOUNT', marks, '-inf', '(' .. TEXT[total - bytes_kept])
  if beyond > 0 then
    local passed = math.min(beyond, MARKS_PASSED)
    local first = redis.call('ZRANGE', marks, passed, passed)[1]
      or redis.call('ZRANGE', marks, -1, -1)[1]
    write('XTRIM', P .. 'events', { 'MINID', '=', first })
    write('ZREMRANGEBYRANK', marks, { 0, passed - 1 })
  end
end

-- Returns the fields of the log that the events need: name, value and run of each, how many events
-- it has, and how many bytes these need in the log and with a reader.
local function fields_of_log()
  local fields = {}
  for _, run in ipairs(runs) do
    local words, texts = run.kind.words, run.texts
    for first = 1, #texts, FACTS_PER_FIELD do
      local last = math.min(first + FACTS_PER_FIELD - 1, #texts)
      local count, value = last - first + 1, table.concat(texts, '\n', first, last)
      local name, size = 'e', #value
      if words then
        name, value = 'f', words .. '\n' .. value
        size = size + count * (#words + FACT_FRAME)
      end
      fields[#fields + 1] = {
        name = name, value = value, run = run, first = first, count = count, size = size,
        bytes = #value + count * EVENT_FRAME,
      }
    end
  end
  return fields
end

-- Returns the entries of the log that the events need: the fields and values of each.
local function weigh()
  if #runs == 0 then
    return {}
  end
  local before, entries, entry = logged(), {}, nil
  local total = before
  for _, field in ipairs(fields_of_log()) do
    if not entry or entry.size + field.size > ENTRY_BYTES
      or entry.count + field.count > EVENTS_PER_ENTRY then
      entry = { size = 0, count = 0, fields = {}, list = {} }
      entries[#entries + 1] = entry
    end
    push(entry.list, field.name, field.value)
    push(entry.fields, field)
    entry.size, entry.count = entry.size + field.size, entry.count + field.count
    total = total + field.bytes
  end
  write('SET', P .. 'logged', { TEXT[total] })
  -- After this many more bytes the log gets a mark and is trimmed.
  local step = math.min(bytes_kept / 256, 131072)
  if math.floor(total / step) > math.floor(before / step) then
    trim(total)
    mark = { TEXT[before], '' }
    write('ZADD', P .. 'marks', mark)
  end
  return entries
end

-- Appends the entries to the log. It is the first of all writes, because only Redis knows whether
-- it accepts the next id.
local function log(entries)
  -- `*` never goes back even if the clock does. With a moved clock the script gives the time
  -- itself.
  local at = tonumber(ARGV[1]) == 0 and '*' or now .. '-*'
  for _, each in ipairs(entries) do
    each.id = redis.call('XADD', P .. 'events', 'MAXLEN', '~', entries_kept, at, unpack(each.list))
  end
  if mark then
    mark[2] = entries[1].id
  end
end
