-- bridge: takes or keeps the lease of the partition's bridge, and moves its cursor; only the holder moves it.
--
-- ARGV[5]  who asks
-- ARGV[6]  lease, ms
-- ARGV[7]  how far the log has been published, as `<ms>-<sequence>-<index>`, or ''
--
-- Returns  `KEPT <cursor, or ->`, or `TAKEN <cursor, or ->` if it was somebody else's or nobody's before, or `OTHER`
--          while somebody else holds it
local key = P .. 'bridge'
local f = redis.call('HMGET', key, 'holder', 'until', 'cursor')
if f[1] ~= ARGV[5] and (ARGV[7] ~= '' or f[2] and tonumber(f[2]) > NOW) then
  return 'OTHER'
end
redis.call('HSET', key, 'holder', ARGV[5], 'until', NOW + ARGV[6])
if ARGV[7] ~= '' then
  redis.call('HSET', key, 'cursor', ARGV[7])
end
-- Whether the lost answer was TAKEN is not known any more.
return (f[1] == ARGV[5] and not IS_AGAIN and 'KEPT ' or 'TAKEN ') .. (ARGV[7] ~= '' and ARGV[7] or f[3] or '-')
