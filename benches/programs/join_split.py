pieces = ("piece of text," * 199999 + "last").split(",")
for _ in range(10):
    pieces = ",".join(pieces).split(",")
print(len("".join(pieces)))
