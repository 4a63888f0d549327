"""The same as `pass.hk` in plain Python, which pickles the frame once: in memory, or to a file, with fsync."""
import os
import pickle
import sys
import time

from frames import make, same

start = time.time()
frame = make()
if len(sys.argv) > 1:
    with open(sys.argv[1], "wb") as file:
        pickle.dump(frame, file, protocol=5)
        file.flush()
        os.fsync(file.fileno())
else:
    pickle.dumps(frame, protocol=5)
for _ in range(5):
    frame = same(frame)
print(time.time() - start)
