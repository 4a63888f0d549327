def iterations(cr, ci):
    zr = zi = 0.0
    for n in range(50):
        rr, ii = zr * zr, zi * zi
        if rr + ii > 4.0:
            return n
        zi = 2.0 * zr * zi + ci
        zr = rr - ii + cr
    return 50


def main():
    total = 0
    for y in range(400):
        for x in range(400):
            total += iterations(x / 160.0 - 2.0, y / 160.0 - 1.25)
    return total


print(main())
