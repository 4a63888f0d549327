"""Draws fractals with Pillow."""
import math
import random
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 360, 270
ITERATIONS = 60


def make_folder(folder):
    Path(folder).mkdir(parents=True, exist_ok=True)


def draw(name, folder):
    """Draws the fractal of this name; the path of the picture."""
    path = Path(folder) / f"{name}.png"
    PICTURES[name]().save(path)
    return str(path)


def color(value):
    """A color for a number from 0 to 1: through blue, white and gold."""
    return tuple(int(127.5 - 127.5 * math.cos(2 * math.pi * (value + shift))) for shift in (0.0, 0.08, 0.2))


def escape_time(center, width, start):
    """Colors each point by how soon `step` takes it away; `start(point)` gives the first value and the step."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    pixels = image.load()
    for x in range(WIDTH):
        for y in range(HEIGHT):
            z, step = start(center + complex(x - WIDTH / 2, y - HEIGHT / 2) * width / WIDTH)
            for n in range(ITERATIONS):
                if abs(z) > 8:
                    # How far beyond it is makes the bands smooth.
                    pixels[x, y] = color((n + 1 - math.log2(math.log2(abs(z)))) / ITERATIONS)
                    break
                z = step(z)
    return image


def mandelbrot():
    return escape_time(-0.7, 3.2, lambda c: (0, lambda z: z * z + c))


def julia():
    return escape_time(0, 3.4, lambda point: (point, lambda z: z * z + (-0.8 + 0.156j)))


def burning_ship():
    return escape_time(-0.4 - 0.5j, 3.6, lambda c: (0, lambda z: complex(abs(z.real), abs(z.imag)) ** 2 + c))


def fern():
    """Barnsley's fern: four maps, one of them at random again and again."""
    image, chance = Image.new("RGB", (WIDTH, HEIGHT), (12, 20, 16)), random.Random(1)
    x = y = 0.0
    for _ in range(80_000):
        r = chance.random()
        if r < 0.01:
            x, y = 0.0, 0.16 * y
        elif r < 0.86:
            x, y = 0.85 * x + 0.04 * y, -0.04 * x + 0.85 * y + 1.6
        elif r < 0.93:
            x, y = 0.2 * x - 0.26 * y, 0.23 * x + 0.22 * y + 1.6
        else:
            x, y = -0.15 * x + 0.28 * y, 0.26 * x + 0.24 * y + 0.44
        image.putpixel((int(WIDTH / 2 + x * 26), int(HEIGHT - 4 - y * 26)), (90, 160 + int(y * 8), 80))
    return image


def sierpinski():
    """Sierpinski's triangle: a point is in it where its two coordinates have no bit in common."""
    size = 256
    image = Image.new("RGB", (WIDTH, HEIGHT), (16, 16, 32))
    for row in range(size):
        for column in range(size):
            if column & (size - 1 - row) == 0:
                at = ((WIDTH - size) // 2 + column + (size - 1 - row) // 2, (HEIGHT - size) // 2 + row)
                image.putpixel(at, color(0.3 + 0.4 * row / size))
    return image


PICTURES = {each.__name__: each for each in (mandelbrot, julia, burning_ship, fern, sierpinski)}
