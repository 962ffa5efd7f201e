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

-- How many events an entry of the log has at the most: as many as one call takes.
local EVENTS_PER_ENTRY = PIECE / 2

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
local function refuse_write(code, command, key, why)
  error({ err = code .. ' ' .. command .. ' on ' .. key .. ': ' .. why })
end

-- Ends the script if a score could be refused.
local function check_scores(key, list)
  for nth = 1, #list, 2 do
    local score = tonumber(list[nth])
    if not score or score ~= score then
      refuse_write('ERR', 'ZADD', key, 'a score is not a number')
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
        refuse_write('NOPERM', command, key, 'the Redis user may not')
      end
      if not typed[key] and not UNTYPED[command] then
        redis.call(TYPED_BY[command], key)
        typed[key] = true
      end
    end
  end
end

-- Appends all events to the log, an entry for each piece; returns the entries' ids. The first of all writes, as
-- Redis alone knows whether it takes another id.
local function log()
  -- `*` never goes back even if the clock does; a moved clock names its time itself.
  local at = tonumber(ARGV[1]) == 0 and '*' or TEXT[NOW] .. '-*'
  local ids = {}
  for first = 1, #entry, PIECE do
    ids[#ids + 1] = redis.call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS_KEPT, at,
      unpack(entry, first, math.min(first + PIECE - 1, #entry)))
  end
  return ids
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

-- Tells the Redis subscribers of each event's channel; a channel that nobody hears costs nothing a task.
local function shout(ids)
  local patterns = tell('channels', 'PUBSUB', 'NUMPAT')
  if not patterns then
    return
  end
  local heard = {}
  for nth, event in ipairs(said) do
    local channel = CHANNELS .. event
    if heard[event] == nil then
      heard[event] = patterns > 0 or is_heard(channel)
    end
    if heard[event] then
      local ms, sequence =
        string.match(ids[math.floor((nth - 1) / EVENTS_PER_ENTRY) + 1], '^(%d+)-(%d+)$')
      local index = (nth - 1) % EVENTS_PER_ENTRY
      local high = string.format('%012x', ms)
      local low = string.format('80%08x%04x%02x', sequence, index, string.match(P, '{(%d+)}'))
      tell('channels', 'PUBLISH', channel, '{"event_id":"' .. string.sub(high, 1, 8) .. '-'
        .. string.sub(high, 9) .. '-7000-' .. string.sub(low, 1, 4) .. '-' .. string.sub(low, 5)
        .. '","timestamp":"' .. iso(tonumber(ms)) .. '",' .. entry[nth * 2])
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
  if once then
    -- Longer than the store goes on repeating.
    write('SET', once, { '-', 'PX', 10000 })
  end
  check()
  local ids = log()
  if once then
    writes[#writes][3][1] = ids[1]
  end
  make()
  if #ids > 0 then
    shout(ids)
  end
  ring_all()
  for kind, count in pairs(refused) do
    redis.pcall('HINCRBY', P .. 'refused', kind, count)
  end
  return ids[1]
end

-- In how many ms the first of a set falls due; -1: none, or it cannot be read now.
local function next_due(set)
  local first = redis.pcall('ZRANGE', set, 0, 0, 'WITHSCORES')
  return first[2] and first[2] - NOW or -1
end
