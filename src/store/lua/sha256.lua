-- sha256: SHA-256 as FIPS 180-4 defines it; Redis's Lua has only SHA-1.
-- Needs  call

local both, xor, rotate, shift = bit.band, bit.bxor, bit.ror, bit.rshift
local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

-- Calls are expensive here, so arithmetic replaces them: modulo 2^32 (to which the bit operations
-- cut) the bits of `g` that are not in `e` are g - (e and g), and x xor y is x + y - 2 (x and y).
local function compress(state, w)
  for i = 17, 64 do
    local x, y = w[i - 15], w[i - 2]
    w[i] = w[i - 16] + xor(rotate(x, 7), rotate(x, 18), shift(x, 3))
      + w[i - 7] + xor(rotate(y, 17), rotate(y, 19), shift(y, 10))
  end
  local a, b, c, d, e, f, g, h = unpack(state)
  local b_and_c = both(b, c)
  for i = 1, 64 do
    local t = h + xor(rotate(e, 6), rotate(e, 11), rotate(e, 25))
      + both(e, f) + g - both(e, g) + K[i] + w[i]
    local majority = b_and_c + both(a, b + c - 2 * b_and_c)
    b_and_c = both(a, b)
    -- Kept small: numbers are exact up to 2^53 only.
    h, g, f, e = g, f, e, (d + t) % 4294967296
    d, c, b = c, b, a
    a = (t + xor(rotate(a, 2), rotate(a, 13), rotate(a, 22)) + majority) % 4294967296
  end
  for nth, word in ipairs({ a, b, c, d, e, f, g, h }) do
    state[nth] = bit.tobit(state[nth] + word)
  end
end

-- Returns the hash of `text`, 64 hexadecimal digits.
local function sha256(text)
  local size = #text
  text = text .. '\128' .. string.rep('\0', (55 - size) % 64 + 4)
    .. string.char(both(shift(size, 21), 255), both(shift(size, 13), 255))
    .. string.char(both(shift(size, 5), 255), both(size * 8, 255))
  local state = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  }
  local w = {}
  for at = 1, #text, 64 do
    local bytes = { string.byte(text, at, at + 63) }
    for i = 1, 16 do
      local j = i * 4
      local high, low = bytes[j - 3] * 256 + bytes[j - 2], bytes[j - 1] * 256 + bytes[j]
      w[i] = bit.tobit(high * 65536 + low)
    end
    compress(state, w)
  end
  for nth, word in ipairs(state) do
    state[nth] = bit.tohex(word)
  end
  return table.concat(state)
end
