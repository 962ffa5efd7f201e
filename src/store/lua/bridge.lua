-- bridge: takes or keeps the lease of the partition's bridge, and moves its cursor. Only the holder
-- moves it.
-- Needs  finish
--
-- ARGV[5]  holder
-- ARGV[6]  lease, ms
-- ARGV[7]  the last published event, `<ms>-<sequence>-<index>`, or ''
-- ARGV[8]  how many of these events went without their payloads
--
-- Returns  `KEPT <cursor, or ->`, `TAKEN <cursor, or ->` if another holder or none had it before,
--          or `OTHER` while another holder has it
local key = P .. 'bridge'
local f = redis.call('HMGET', key, 'holder', 'until', 'cursor')
if f[1] ~= ARGV[5] and (ARGV[7] ~= '' or f[2] and tonumber(f[2]) > NOW) then
  return 'OTHER'
end
write('HSET', key, { 'holder', ARGV[5], 'until', TEXT[NOW + ARGV[6]] })
if ARGV[7] ~= '' then
  write('HSET', key, { 'cursor', ARGV[7] })
  if ARGV[8] ~= '0' and f[3] ~= ARGV[7] then
    add(key, { 'truncated' }, { tonumber(ARGV[8]) })
  end
end
-- After a repeated call it is unknown whether the lost answer was TAKEN.
local is_kept = f[1] == ARGV[5] and not IS_AGAIN
finish()
return (is_kept and 'KEPT ' or 'TAKEN ') .. (given(ARGV[7]) or f[3] or '-')
