-- probe: checks that Redis accepts a write, and that its user has all permissions of the store.
-- Needs  finish
--
-- ARGV[5…]  commands with arguments, separated by spaces; `@` stands for a key, `#` for a channel
--
-- Returns  1, or an error NOPERM that names the missing commands and channels
local CHANNELS = { P .. 'wake:probe', string.match(P, '^[^{]+') .. 'events:probe' }
local missing = {}

-- Records the command with this channel if the user may not run it, or the server does not know it.
local function try(words, channel)
  local command = {}
  for word in string.gmatch(words, '%S+') do
    command[#command + 1] = word == '@' and P .. 'probe' or word == '#' and channel or word
  end
  local is_known, may = pcall(redis.acl_check_cmd, unpack(command))
  if not is_known or not may then
    missing[#missing + 1] = channel and command[1] .. ' ' .. channel or command[1]
  end
end

for nth = 5, #ARGV do
  if string.find(ARGV[nth], '#', 1, true) then
    for _, channel in ipairs(CHANNELS) do
      try(ARGV[nth], channel)
    end
  else
    try(ARGV[nth])
  end
end
if #missing > 0 then
  return { err = 'NOPERM the Redis user lacks ' .. table.concat(missing, ', ') }
end
-- A write without an effect.
write('SET', P .. 'probe', { now })
write('DEL', P .. 'probe', {})
finish()
return 1
