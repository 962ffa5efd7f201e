-- write: finish(), which makes all writes of a script, or none.
--
-- A write of Redis can fail: the user may lack a permission, the key may have another type, or an
-- argument may not be a number. All of this is checked before the first write. Whether the server
-- accepts writes at all, Redis checks before it runs a script. Notifications and the channels of
-- events cannot fail a script: a refused one is counted.

-- A command per type of a write, which returns an error if the key has another type.
local TYPED_BY = {
  HSET = 'HLEN', HDEL = 'HLEN', SADD = 'SCARD', SREM = 'SCARD', XADD = 'XLEN', XTRIM = 'XLEN',
  ZADD = 'ZCARD', ZREM = 'ZCARD', ZREMRANGEBYRANK = 'ZCARD', ZREMRANGEBYSCORE = 'ZCARD',
}
-- Writes that work on a key of any type.
local UNTYPED = { DEL = true, SET = true, EXPIRE = true }

-- The largest number of events in an entry of the log, as many as one call takes, and the largest
-- size of an entry in bytes, unless it holds a single event: a reader of n entries reads at most n
-- times this size.
local EVENTS_PER_ENTRY, ENTRY_BYTES = PIECE / 2, 65536

-- The overhead of an event in the log besides its JSON, bytes: its place, and the frame of its
-- entry.
local EVENT_FRAME = 64

local EVENTS_KEPT, EVENTS_BYTES = string.match(ARGV[3], '^(%d+) (%d+)$')
EVENTS_BYTES = tonumber(EVENTS_BYTES)

-- After this many more bytes the log gets a mark and is trimmed.
local MARK_STEP = math.min(EVENTS_BYTES / 256, 131072)

-- How many marks one trim passes at most. It is more than one only if the limit was lowered. About
-- ten thousand entries lie between that many marks, which takes a few ms.
local MARKS_PASSED = 32

-- Adds to the numbers of a hash: pairs of a field and an increment. A value that is not a number
-- counts as 0.
local function add(key, fields, amounts)
  local sums = {}
  for nth, number in ipairs(read_fields(key, fields)) do
    local size = #sums
    sums[size + 1], sums[size + 2] = fields[nth], TEXT[(tonumber(number or 0) or 0) + amounts[nth]]
  end
  write('HSET', key, sums)
end

-- Adds to the counters of open tasks.
local function count_open()
  local fields, amounts = {}, {}
  for priority, change in pairs(opened) do
    if change ~= 0 then
      local size = #fields + 1
      fields[size], amounts[size] = priority, change
    end
  end
  if #fields > 0 then
    add(P .. 'open', fields, amounts)
  end
end

-- Adds to the figures of this hour.
local function count_figures()
  local fields, amounts = {}, {}
  for figure, groups in pairs(counted) do
    for group, number in pairs(groups) do
      local size = #fields + 1
      fields[size], amounts[size] = group .. ' ' .. figure, number
    end
  end
  for histogram, groups in pairs(measured) do
    for group, buckets in pairs(groups) do
      for bucket, number in pairs(buckets) do
        local size = #fields + 1
        fields[size], amounts[size] = group .. ' ' .. histogram .. ' ' .. bucket, number
      end
    end
  end
  if #fields > 0 then
    local hour = P .. 'sla:' .. TEXT[math.floor(NOW / 3600000)]
    add(hour, fields, amounts)
    write('EXPIRE', hour, { REPORT_KEPT, 'NX' })
  end
end

-- Moves the reaper's look at these agents forward, if it is planned for later.
local function set_watch()
  local sooner = {}
  for agent, at in pairs(watched) do
    local planned = tonumber(redis.call('ZSCORE', P .. 'roster', agent) or nil)
    if not planned or planned > at then
      local size = #sooner
      sooner[size + 1], sooner[size + 2] = TEXT[at], agent
    end
  end
  if #sooner > 0 then
    write('ZADD', P .. 'roster', sooner)
  end
end

-- Turns the collected changes into writes.
local function gather()
  local records, set, unset = {}, {}, {}
  for id, task in pairs(changed) do
    local size = #records
    records[size + 1], records[size + 2] = id, pack(task)
  end
  for id, timer in pairs(timed) do
    if timer == '-' then
      unset[#unset + 1] = id
    else
      local size = #set
      set[size + 1], set[size + 2] = timer, id
    end
  end
  if #records > 0 then
    write('HSET', P .. 'records', records)
  end
  for key, ids in pairs(gone) do
    write('ZREM', key, ids)
  end
  for key, scored in pairs(come) do
    write('ZADD', key, scored)
  end
  if #unset > 0 then
    write('ZREM', P .. 'timers', unset)
  end
  if #set > 0 then
    write('ZADD', P .. 'timers', set)
  end
  set_watch()
  count_open()
  count_figures()
end

-- Ends the script before its first write.
local function abort(code, command, key, why)
  error({ err = code .. ' ' .. command .. ' on ' .. key .. ': ' .. why })
end

-- Whether a text is a number, each checked once: the tasks of a batch share most of their scores.
local IS_NUMBER = setmetatable({}, {
  __index = function(texts, text)
    local number = tonumber(text)
    local is_number = number ~= nil and number == number
    texts[text] = is_number
    return is_number
  end,
})

-- Ends the script if a score could be refused.
local function check_scores(key, list)
  for nth = 1, #list, 2 do
    if not IS_NUMBER[list[nth]] then
      abort('ERR', 'ZADD', key, 'a score is not a number')
    end
  end
end

-- Ends the script if a write after the first one could fail. If the first one fails, nothing has
-- changed.
local function check()
  for nth, each in ipairs(writes) do
    local command, key, list = each[1], each[2], each[3]
    if command == 'ZADD' then
      check_scores(key, list)
    end
    if nth > 1 or #entry > 0 then
      if not redis.acl_check_cmd(command, key) then
        abort('NOPERM', command, key, 'the Redis user may not')
      end
      if not typed[key] and not UNTYPED[command] then
        redis.call(TYPED_BY[command], key)
        typed[key] = true
      end
    end
  end
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
  local beyond = redis.call('ZCOUNT', marks, '-inf', '(' .. TEXT[total - EVENTS_BYTES])
  if beyond > 0 then
    local passed = math.min(beyond, MARKS_PASSED)
    local first = redis.call('ZRANGE', marks, passed, passed)[1] or redis.call('ZRANGE', marks, -1, -1)[1]
    write('XTRIM', P .. 'events', { 'MINID', '=', first })
    write('ZREMRANGEBYRANK', marks, { 0, passed - 1 })
  end
end

-- A mark of the log: how many bytes were written before an entry, and its id, which log() puts
-- there.
local mark

-- Returns the first and the last event of each entry that the events need.
local function weigh()
  if #emitted == 0 then
    return {}
  end
  local before = logged()
  local total, entries, size = before, {}, ENTRY_BYTES
  local last
  for nth = 1, #emitted do
    local bytes = #entry[nth * 2] + EVENT_FRAME
    size, total = size + bytes, total + bytes
    if size > ENTRY_BYTES or nth - last.first == EVENTS_PER_ENTRY then
      last, size = { first = nth }, bytes
      entries[#entries + 1] = last
    end
    last.last = nth
  end
  write('SET', P .. 'logged', { TEXT[total] })
  if math.floor(total / MARK_STEP) > math.floor(before / MARK_STEP) then
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
  local at = tonumber(ARGV[1]) == 0 and '*' or TEXT[NOW] .. '-*'
  for _, each in ipairs(entries) do
    each.id = redis.call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS_KEPT, at,
      unpack(entry, each.first * 2 - 1, each.last * 2))
  end
  if mark then
    mark[2] = entries[1].id
  end
end

-- Makes the writes, none of which can fail.
local function make()
  for _, each in ipairs(writes) do
    local command, key, list = each[1], each[2], each[3]
    if #list <= PIECE then
      redis.call(command, key, unpack(list))
    else
      for first = 1, #list, PIECE do
        redis.call(command, key, unpack(list, first, math.min(first + PIECE - 1, #list)))
      end
    end
  end
end

-- Runs the command of a notification; `false` if Redis refuses it.
local refused = {}
local function tell(kind, ...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    refused[kind] = (refused[kind] or 0) + 1
    return false
  end
  return answer
end

-- Whether the channel has subscribers.
local function has_subscribers(channel)
  local answer = tell('channels', 'PUBSUB', 'NUMSUB', channel)
  return answer and answer[2] > 0
end

-- Publishes event `nth`, which is in this entry of the log, to Redis subscribers.
local function publish_one(nth, each)
  local ms, sequence = string.match(each.id, '^(%d+)-(%d+)$')
  local high = string.format('%012x', ms)
  local low =
    string.format('80%08x%04x%02x', sequence, nth - each.first, string.match(P, '{(%d+)}'))
  tell('channels', 'PUBLISH', CHANNELS .. emitted[nth], '{"event_id":"' .. string.sub(high, 1, 8) .. '-'
    .. string.sub(high, 9) .. '-7000-' .. string.sub(low, 1, 4) .. '-' .. string.sub(low, 5)
    .. '","timestamp":"' .. iso(tonumber(ms)) .. '",' .. entry[nth * 2])
end

-- Publishes the events to the subscribers of their channels. A channel without subscribers costs
-- nothing per task.
local function publish_all(entries)
  local patterns = tell('channels', 'PUBSUB', 'NUMPAT')
  if not patterns then
    return
  end
  local is_subscribed = {}
  for _, each in ipairs(entries) do
    for nth = each.first, each.last do
      local event = emitted[nth]
      if is_subscribed[event] == nil then
        is_subscribed[event] = patterns > 0 or has_subscribers(CHANNELS .. event)
      end
      if is_subscribed[event] then
        publish_one(nth, each)
      end
    end
  end
end

-- Publishes the notifications that wake waiting callers.
local function wake_all()
  for wake, count in pairs(woken) do
    tell('wakes', 'PUBLISH', P .. 'wake:' .. wake, count)
  end
  if #finished > 0 then
    tell('wakes', 'PUBLISH', P .. 'wake:finished', table.concat(finished, ','))
  end
end

-- Makes all writes, or none. Returns the id of the log entry, if there were events. `once` is the
-- key of a string that keeps this id for a while, so that a repeated call finds it.
local function finish(once)
  gather()
  local entries = weigh()
  if once then
    -- Longer than the store repeats calls.
    write('SET', once, { '-', 'PX', 10000 })
  end
  check()
  log(entries)
  local id = entries[1] and entries[1].id
  if once then
    writes[#writes][3][1] = id
  end
  make()
  if id then
    publish_all(entries)
  end
  wake_all()
  for kind, count in pairs(refused) do
    redis.pcall('HINCRBY', P .. 'refused', kind, count)
  end
  return id
end

-- Returns in how many ms the first member of a set is due; -1 if there is none or it is unreadable.
local function next_due(set)
  local first = redis.pcall('ZRANGE', set, 0, 0, 'WITHSCORES')
  return first[2] and first[2] - NOW or -1
end
