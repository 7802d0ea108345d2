import socket,os
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    a,b=socket.socketpair(socket.AF_UNIX,kind); b.close(); print(repr(a.getpeername()))
    try: os.unlink('s')
    except OSError: pass
    l=socket.socket(socket.AF_UNIX,kind); l.bind('s'); l.listen(); c=socket.socket(socket.AF_UNIX,kind); c.connect('s'); c.close()
    s,addr=l.accept(); print(repr(addr), repr(s.getpeername()))
    c=socket.socket(socket.AF_UNIX,kind); c.connect('s'); s,_=l.accept(); l.close(); s.close(); print(repr(c.getpeername()))
