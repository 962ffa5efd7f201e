-- bulk_turn: gives the next running bulk to a worker process, for one step.
-- Needs  finish
--
-- ARGV[5]  the worker process
-- ARGV[6]  how long it may take before another may have the bulk, ms
--
-- Returns  the id, then its fields as names and values; or in how many ms the next is due (-1: none)
local set = P .. 'bulks'

-- Returns the bulk that the worker process holds already, because its last step failed or its answer
-- was lost; else the one that is due first.
local function next_bulk()
  local first
  local all = redis.call('ZRANGE', set, 0, MOST_BULKS - 1, 'WITHSCORES')
  for nth = 1, #all, 2 do
    if redis.call('HGET', P .. 'bulk:' .. all[nth], 'holder') == ARGV[5] then
      return all[nth]
    end
    first = first or tonumber(all[nth + 1]) <= NOW and all[nth]
  end
  return first
end

local id = next_bulk()
if not id then
  return { next_due(set) }
end
local key = P .. 'bulk:' .. id
local fields = redis.call('HGETALL', key)
if #fields == 0 then
  -- Its hash is lost.
  write('ZREM', set, { id })
  finish()
  return { 0 }
end
write('HSET', key, { 'holder', ARGV[5] })
write('ZADD', set, { TEXT[NOW + ARGV[6]], id })
finish()
return { id, fields }
