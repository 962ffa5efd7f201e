-- lists: lists of members and of arguments.
-- Needs  call

-- Returns the list of `key` in `map`, which is made if there is none.
local function list_of(map, key)
  local list = map[key]
  if not list then
    list = {}
    map[key] = list
  end
  return list
end

-- Adds a member to a list, or a pair: a score and its member, or a name and its value.
local function push(list, first, second)
  local size = #list
  list[size + 1], list[size + 2] = first, second
end

-- Adds the same to the list of `key` in `map`.
local function append(map, key, first, second)
  local list = list_of(map, key)
  local size = #list
  list[size + 1], list[size + 2] = first, second
end

-- Returns the values of a list of pairs by their names.
local function by_name(list)
  local values = {}
  for nth = 1, #list, 2 do
    values[list[nth]] = list[nth + 1]
  end
  return values
end

-- Returns up to `count` members of a sorted set with scores up to `ms`, which is now if left out.
local function due_in(set, count, ms)
  return redis.call('ZRANGEBYSCORE', set, '-inf', ms or now, 'LIMIT', 0, count)
end

-- Returns the lowest score of a set beyond `ms`, or nil.
local function first_after(set, ms)
  local first =
    redis.call('ZRANGEBYSCORE', set, '(' .. TEXT[ms], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return tonumber(first[2])
end

-- Returns every `width`-th argument from `first` on: the ids of a call about several tasks.
local function ids_of(first, width)
  local ids = {}
  for nth = first, #ARGV, width do
    ids[#ids + 1] = ARGV[nth]
  end
  return ids
end
