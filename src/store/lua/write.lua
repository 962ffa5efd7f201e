-- write: finish(), which makes all writes of a script, or none.
--
-- A write of Redis can fail: the user may not run the command on the key, the key has another type, an argument is no
-- number. Each of that is looked for before the first write; whether the server takes writes at all Redis checks
-- before it runs a script. What only tells others, the doorbells and the events' channels, cannot fail a script: it is
-- counted where it was refused.

-- What tells the type that a write wants, by an error if the key has another one.
local TYPED_BY = {
  HSET = 'HLEN', HDEL = 'HLEN', SADD = 'SCARD', SREM = 'SCARD', XADD = 'XLEN', XTRIM = 'XLEN',
  ZADD = 'ZCARD', ZREM = 'ZCARD', ZREMRANGEBYRANK = 'ZCARD', ZREMRANGEBYSCORE = 'ZCARD',
}
-- Writes that are good for a key of any type.
local UNTYPED = { DEL = true, SET = true, EXPIRE = true }

-- How many events an entry of the log has at the most, as many as one call takes, and how many bytes, unless one
-- event alone has more: who reads so many entries reads so many bytes.
local EVENTS_PER_ENTRY, ENTRY_BYTES = PIECE / 2, 65536

-- What an event takes in the log beside its JSON, bytes: its place, and the frame of its entry.
local EVENT_FRAME = 64

local EVENTS_KEPT, EVENTS_BYTES = string.match(ARGV[3], '^(%d+) (%d+)$')
EVENTS_BYTES = tonumber(EVENTS_BYTES)

-- Whenever so many bytes more were written, the log is marked and trimmed.
local MARK_STEP = math.min(EVENTS_BYTES / 256, 131072)

-- How many marks one trim passes at the most: several only where the budget has become smaller. Some ten thousand
-- entries stand between so many, which takes a few ms.
local MARKS_PASSED = 32

-- Adds to the numbers of a hash: pairs of field and how many more. What is no number there counts as 0.
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

-- Has the reaper look sooner where it would look too late.
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

-- Turns what was gathered into writes.
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

-- Whether a text is a number, each looked at once: the tasks of a batch share most of their scores.
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

-- Ends the script if a write after the first one could fail; what the first one fails at has changed nothing.
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

-- How many bytes were ever written to the log, at the least: if the number is lost, as many as at the newest mark.
local function logged()
  return tonumber(redis.call('GET', P .. 'logged')
    or redis.call('ZRANGE', P .. 'marks', -1, -1, 'WITHSCORES')[2] or 0) or 0
end

-- Has the oldest entries go that are beyond the byte budget once the log has `total`: all before the first mark that is
-- within, or some of them if they are many.
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

-- A mark of the log: how many bytes were written before an entry, and its id, which log() puts there.
local mark

-- The entries that the events are to become, each: its first and its last event.
local function weigh()
  if #said == 0 then
    return {}
  end
  local before = logged()
  local total, entries, size = before, {}, ENTRY_BYTES
  local last
  for nth = 1, #said do
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

-- Appends the entries to the log. The first of all writes, as Redis alone knows whether it takes another id.
local function log(entries)
  -- `*` never goes back even if the clock does; a moved clock names its time itself.
  local at = tonumber(ARGV[1]) == 0 and '*' or TEXT[NOW] .. '-*'
  for _, each in ipairs(entries) do
    each.id = redis.call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS_KEPT, at,
      unpack(entry, each.first * 2 - 1, each.last * 2))
  end
  if mark then
    mark[2] = entries[1].id
  end
end

-- Makes the writes, of which none can fail.
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

-- Runs what only tells others; `false` if Redis refuses.
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
local function is_heard(channel)
  local answer = tell('channels', 'PUBSUB', 'NUMSUB', channel)
  return answer and answer[2] > 0
end

-- Tells the Redis subscribers of event `nth`, which is in this entry of the log.
local function shout_one(nth, each)
  local ms, sequence = string.match(each.id, '^(%d+)-(%d+)$')
  local high = string.format('%012x', ms)
  local low =
    string.format('80%08x%04x%02x', sequence, nth - each.first, string.match(P, '{(%d+)}'))
  tell('channels', 'PUBLISH', CHANNELS .. said[nth], '{"event_id":"' .. string.sub(high, 1, 8) .. '-'
    .. string.sub(high, 9) .. '-7000-' .. string.sub(low, 1, 4) .. '-' .. string.sub(low, 5)
    .. '","timestamp":"' .. iso(tonumber(ms)) .. '",' .. entry[nth * 2])
end

-- Tells the Redis subscribers of each event's channel; a channel that nobody hears costs nothing a task.
local function shout(entries)
  local patterns = tell('channels', 'PUBSUB', 'NUMPAT')
  if not patterns then
    return
  end
  local heard = {}
  for _, each in ipairs(entries) do
    for nth = each.first, each.last do
      local event = said[nth]
      if heard[event] == nil then
        heard[event] = patterns > 0 or is_heard(CHANNELS .. event)
      end
      if heard[event] then
        shout_one(nth, each)
      end
    end
  end
end

-- Rings the doorbells.
local function ring_all()
  for bell, count in pairs(rung) do
    tell('bells', 'PUBLISH', P .. 'bell:' .. bell, count)
  end
  if #finished > 0 then
    tell('bells', 'PUBLISH', P .. 'bell:finished', table.concat(finished, ','))
  end
end

-- Makes all writes, or none; the log entry's id, if there were events. `once`: the key of a string in which the id is
-- kept for a while, so that a call that is sent again finds it.
local function finish(once)
  gather()
  local entries = weigh()
  if once then
    -- Longer than the store goes on repeating.
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
    shout(entries)
  end
  ring_all()
  for kind, count in pairs(refused) do
    redis.pcall('HINCRBY', P .. 'refused', kind, count)
  end
  return id
end

-- In how many ms the first of a set falls due; -1: none, or it cannot be read now.
local function next_due(set)
  local first = redis.pcall('ZRANGE', set, 0, 0, 'WITHSCORES')
  return first[2] and first[2] - NOW or -1
end
