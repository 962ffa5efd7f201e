-- credentials: records in the audit log which accepted credentials have changed since a gateway
-- last called this.
-- Needs  finish, audit
--
-- ARGV[5]   how many changes to record at most
-- ARGV[6…]  3 for each credential: subject, role or '', fingerprint
-- The last 2: see audit.lua.
--
-- Returns  how many changes were recorded
local key, noted = P .. 'credentials', 0
local known, given = {}, {}
local flat = redis.call('HGETALL', key)
for i = 1, #flat, 2 do
  known[flat[i]] = flat[i + 1]
end

local function note(action, subject, details)
  if noted < tonumber(ARGV[5]) then
    noted = noted + 1
    audit('key.' .. action, subject, details)
    return true
  end
end

for i = 6, #ARGV - 2, 3 do
  local subject, role, fingerprint = ARGV[i], ARGV[i + 1] ~= '' and ARGV[i + 1] or '-', ARGV[i + 2]
  local credential = role .. ' ' .. fingerprint
  given[subject] = true
  if known[subject] ~= credential then
    local details = { role = role, fingerprint = fingerprint }
    if known[subject] then
      details.previous_role, details.previous_fingerprint = string.match(known[subject], '^(%S+) (%S+)$')
    end
    if note(known[subject] and 'changed' or 'added', subject, details) then
      write('HSET', key, { subject, credential })
    end
  end
end
for subject, credential in pairs(known) do
  if not given[subject] then
    local role, fingerprint = string.match(credential, '^(%S+) (%S+)$')
    if note('removed', subject, { role = role, fingerprint = fingerprint }) then
      write('HDEL', key, { subject })
    end
  end
end
finish()
return noted
