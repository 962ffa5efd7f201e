-- gate: the terms of an approval, and what events say of it.
-- Needs  record, time
--
-- A gate says in lines how to decide: quorum; 1 if four eyes are required, else 0; what expiry at
-- the last level leads to, `reject` or `hold`; how often to remind, ms, or `-`; how long each level
-- may take, ms, joined by commas; the approvers and all of this for readers, JSON; the name of the
-- rule, a JSON string.

-- The score of an approval that never expires: after every time.
local NEVER = 9007199254740991

local function read_gate(gate)
  local g, times = {}, nil
  g.quorum, g.four_eyes, g.silence, g.remind, times, g.terms, g.rule =
    string.match(gate, '^(%d+)\n([01])\n(%a+)\n(%S+)\n(%S+)\n([^\n]*)\n([^\n]*)$')
  g.times = {}
  for time in string.gmatch(times or '', '%d+') do
    g.times[#g.times + 1] = tonumber(time)
  end
  return g
end

-- Returns what a payload says of an approval, JSON from the comma on; `f` is its hash. None of its
-- members is one of a transition, which stand in the same payload.
local function approval_json(task, f, g)
  -- An encrypted action is for readers of the approval only.
  local action = f.action and string.sub(f.action, 1, 1) ~= '~' and f.action or 'null'
  local expiry = f.expires_at ~= '' and '"' .. iso(tonumber(f.expires_at)) .. '"' or 'null'
  return ',"approval_id":"' .. f.id .. '","kind":"' .. f.kind .. '","rule":' .. g.rule
    .. ',"requested_by":"' .. f.by .. '","request_reason":' .. (f.reason or 'null')
    .. ',"action":' .. action .. ',"digest":"' .. f.digest
    .. '","version":' .. task.status.version .. ',"terms":' .. g.terms
    .. ',"level":' .. f.level .. ',"votes":' .. f.votes .. ',"expires_at":' .. expiry
end
