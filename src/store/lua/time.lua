-- time: milliseconds as RFC 3339.
-- Needs  call

-- Returns seconds since 1970 as RFC 3339 without the zone. The calendar is Hinnant's days-to-civil
-- algorithm.
local function civil(seconds)
  local floor = math.floor
  local z = floor(seconds / 86400) + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local day = doy - floor((153 * mp + 2) / 5) + 1
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.', year, month, day,
    floor(seconds / 3600) % 24, floor(seconds / 60) % 60, seconds % 60)
end

-- The seconds that the call has printed.
local printed

local function begin_time()
  printed = {}
end

-- Returns milliseconds since 1970 as RFC 3339.
local function iso(ms)
  local second = math.floor(ms / 1000)
  printed[second] = printed[second] or civil(second)
  return printed[second] .. string.format('%03dZ', ms % 1000)
end
