-- finish: makes all writes of a script, or none.
-- Needs  gather, log, tell
--
-- A write of Redis can fail: the user may lack a permission, the key may have another type, or an
-- argument may not be a number. All of this is checked before the first write. Whether the server
-- accepts writes at all, Redis checks before it runs a script.

-- A command per type of a write, which returns an error if the key has another type.
local TYPED_BY = {
  HSET = 'HLEN', HDEL = 'HLEN', SADD = 'SCARD', SREM = 'SCARD', XADD = 'XLEN', XTRIM = 'XLEN',
  ZADD = 'ZCARD', ZREM = 'ZCARD', ZREMRANGEBYRANK = 'ZCARD', ZREMRANGEBYSCORE = 'ZCARD',
}
-- Writes that work on a key of any type.
local UNTYPED = { DEL = true, SET = true, EXPIRE = true }

-- Ends the script before its first write.
local function give_up(code, command, key, why)
  error({ err = code .. ' ' .. command .. ' on ' .. key .. ': ' .. why })
end

-- Ends the script if a score could be refused. The tasks of a batch share most of their scores.
local function check_scores(key, list)
  local checked = {}
  for nth = 1, #list, 2 do
    local score = list[nth]
    if not checked[score] then
      local number = tonumber(score)
      if not number or number ~= number then
        give_up('ERR', 'ZADD', key, 'a score is not a number')
      end
      checked[score] = true
    end
  end
end

-- Ends the script if a write after the first one could fail. If the first one fails, nothing has
-- changed.
local function check_writes()
  for nth, each in ipairs(writes) do
    local command, key, list, is_unsure = each[1], each[2], each[3], each[4]
    if is_unsure then
      check_scores(key, list)
    end
    if nth > 1 or #runs > 0 then
      if not redis.acl_check_cmd(command, key) then
        give_up('NOPERM', command, key, 'the Redis user may not')
      end
      if not typed[key] and not UNTYPED[command] then
        redis.call(TYPED_BY[command], key)
        typed[key] = true
      end
    end
  end
end

-- Makes the writes, none of which can fail.
local function make()
  for _, each in ipairs(writes) do
    local command, key, list = each[1], each[2], each[3]
    local size = #list
    if size <= PIECE then
      redis.call(command, key, unpack(list))
    else
      for first = 1, size, PIECE do
        redis.call(command, key, unpack(list, first, math.min(first + PIECE - 1, size)))
      end
    end
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
  check_writes()
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
  return id
end

-- Returns in how many ms the first member of a set is due; -1 if there is none or it is unreadable.
local function next_due(set)
  local first = redis.pcall('ZRANGE', set, 0, 0, 'WITHSCORES')
  return first[2] and first[2] - NOW or -1
end
