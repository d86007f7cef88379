"""Files that survive kills: one protocol for archives, exports, backups and settings.

whole_file.py  a file is written under a name that readers skip, flushed, and then renamed
folder.py      a folder of such files, its errors as messages, and the warehouse that owns it
lock.py        locks of files and folders, which vanish with the processes that hold them
process.py     child processes that are stopped in time, with all that they started
"""
