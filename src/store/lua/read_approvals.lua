-- read_approvals: reads approvals as they are now.
-- Needs  sizes
--
-- ARGV[5]   1 for all fields, 0 without those that hold payloads
-- ARGV[6]   how many bytes to read; the first approval is read at any size
-- ARGV[7…]  ids
--
-- Returns  how many ids were looked at, from the first; then for each approval among them a list:
--          id, and a list of names and values
local has_all, budget = ARGV[5] == '1', tonumber(ARGV[6])
local ids = ids_of(7, 1)
local answer, used = { #ids }, 0
for nth, id in ipairs(ids) do
  local flat, size = approval_and_size(id, has_all)
  if used > 0 and used + size > budget then
    answer[1] = nth - 1
    return answer
  end
  used = used + size
  flat = flat or redis.call('HGETALL', P .. 'approval:' .. id)
  if #flat > 0 then
    answer[#answer + 1] = { id, flat }
  end
end
return answer
