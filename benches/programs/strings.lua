local text = ""
for _ = 1, 200000 do text = text .. "ab," end
print(#text)
