local function iterations(cr, ci)
  local zr, zi = 0.0, 0.0
  for n = 0, 49 do
    local rr, ii = zr * zr, zi * zi
    if rr + ii > 4.0 then return n end
    zi = 2.0 * zr * zi + ci
    zr = rr - ii + cr
  end
  return 50
end

local total = 0
for y = 0, 399 do
  for x = 0, 399 do
    total = total + iterations(x / 160.0 - 2.0, y / 160.0 - 1.25)
  end
end
print(total)
