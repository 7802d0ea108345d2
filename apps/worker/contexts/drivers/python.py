"""One Python context of a sandbox: runs pieces of code in one namespace, and tells the worker what comes of each.

Requests come as lines of JSON on descriptor 0, which then moves away. What the code prints goes to descriptors 1 and 2 themselves;
frames of this program go between, on the pipe of 1, and are told apart by a token that only the worker knows (see ../frames.ts). A
piece of a frame is one write of at most PIPE_BUF bytes, so that nothing can come into the middle of it.
"""
import ast
import asyncio
import base64
import builtins
import fcntl
import importlib.abc
import importlib.util
import inspect
import io
import json
import linecache
import os
import signal
import sys
import threading
import tokenize
import traceback
import types

PIPE_BUF = 4096
HIGH = 100  # where our own descriptors are moved to
DRIVER_FILE = '<cordon>'


class Wire:
    """Frames to the worker, requests from it."""

    def __init__(self):
        self.requests = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, HIGH)
        self.frames = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, HIGH)
        null = os.open('/dev/null', os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self.pid = os.getpid()
        self.rest = b''
        self.lock = threading.RLock()
        hello = self.read()
        self.head = b'\x1b]' + hello['token'].encode() + b';'
        self.result_bytes = hello['resultBytes']

    def read(self):
        """The next request; None at the end."""
        while b'\n' not in self.rest:
            more = os.read(self.requests, 65536)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b'\n', 1)
        return json.loads(line)

    def send(self, kind, **fields):
        if os.getpid() != self.pid:
            return  # a fork of the code's has no say
        body = json.dumps({'type': kind, **fields}).encode('ascii')
        room = PIPE_BUF - len(self.head) - 5
        with self.lock:
            for at in range(0, len(body), room):
                piece = body[at:at + room]
                more = b'+' if at + room < len(body) else b'.'
                os.write(self.frames, self.head + b'%04x' % len(piece) + more + piece)

    def forked(self):
        """In the child of a fork: it must neither take requests nor hold them open."""
        os.close(self.requests)
        os.close(self.frames)


wire = Wire()
os.register_at_fork(after_in_child=wire.forked)


def clean(error):
    """The traceback without the frames of this program."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == DRIVER_FILE:
        frames = frames.tb_next
    return error.with_traceback(frames)


def send_error(error):
    try:
        text = ''.join(traceback.format_exception(type(error), clean(error), error.__traceback__))
    except BaseException as other:  # __str__ of the code's own may do anything
        text = f'{type(error).__name__}: <its text failed with {type(other).__name__}>\n'
    try:
        value = str(error)
    except BaseException:
        value = '<unprintable>'
    limit = wire.result_bytes // 4
    wire.send('error', name=type(error).__name__, value=value[:limit], traceback=text[-limit:])


# Values: what IPython's formatters ask an object for.

BINARY = {'_repr_png_': 'image/png', '_repr_jpeg_': 'image/jpeg', '_repr_pdf_': 'application/pdf'}
TEXT = {
    '_repr_html_': 'text/html',
    '_repr_markdown_': 'text/markdown',
    '_repr_svg_': 'image/svg+xml',
    '_repr_latex_': 'text/latex',
    '_repr_javascript_': 'application/javascript',
}


def encoded(mime, value):
    """A representation as text: bytes as base64, JSON as JSON."""
    if isinstance(value, tuple):  # with metadata
        value = value[0]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode('ascii')
    if isinstance(value, str) and not (mime.endswith('json') and mime != 'application/json'):
        return value
    return json.dumps(value)


def ask(value, method):
    """What the method of an object returns; None when it has none or it fails, which is told on stderr."""
    if isinstance(value, type):
        return None
    try:
        found = getattr(value, method, None)
        # Some classes answer to every name.
        if found is None or not callable(found) or hasattr(value, '_cordon_has_no_such_method_'):
            return None
        return found(include=None, exclude=None) if method == '_repr_mimebundle_' else found()
    except NotImplementedError:
        return None
    except Exception as error:
        traceback.print_exception(type(error), clean(error), error.__traceback__)
        return None


def figure_png(figure):
    data = io.BytesIO()
    figure.savefig(data, format='png', bbox_inches='tight')
    return base64.b64encode(data.getvalue()).decode('ascii')


def is_figure(value):
    figure = sys.modules.get('matplotlib.figure')
    return figure is not None and isinstance(value, figure.Figure)


def representations(value):
    data = {'text/plain': repr(value)}
    if is_figure(value):
        data['image/png'] = figure_png(value)
        plt = sys.modules.get('matplotlib.pyplot')
        if plt is not None:
            plt.close(value)
    for method, mime in BINARY.items():
        if mime not in data and (found := ask(value, method)) is not None:
            data[mime] = encoded(mime, found)
    for method, mime in TEXT.items():
        if (found := ask(value, method)) is not None:
            data[mime] = encoded(mime, found)
    if (found := ask(value, '_repr_json_')) is not None:
        data['application/json'] = json.dumps(found[0] if isinstance(found, tuple) else found)
    bundle = ask(value, '_repr_mimebundle_')
    if isinstance(bundle, tuple):
        bundle = bundle[0]
    if isinstance(bundle, dict):
        data.update({str(mime): encoded(str(mime), found) for mime, found in bundle.items()})
    return data


def send_result(data, main):
    limit = wire.result_bytes
    for mime in sorted(data, key=lambda mime: len(data[mime]), reverse=True):
        if sum(map(len, data.values())) <= limit:
            break
        size = len(data[mime])
        if mime == 'text/plain':
            data[mime] = f'{data[mime][:limit // 4]}\n[cut: {size} characters]'
        else:
            del data[mime]
            data.setdefault('text/plain', '')
            data['text/plain'] += f'\n[{mime} left out: {size} characters]'
    wire.send('result', main=main, data=data)


def display(*values, raw=False):
    """Shows values in the middle of a run, with all their representations; raw=True: dictionaries from MIME type to data."""
    sys.stdout.flush()
    for value in values:
        if raw:
            send_result({str(mime): encoded(str(mime), data) for mime, data in value.items()}, False)
        else:
            send_result(representations(value), False)


def show_figures(*_arguments, **_options):
    """The figures that are open, in their order; then none is."""
    plt = sys.modules.get('matplotlib.pyplot')
    if plt is None or not hasattr(plt, 'get_fignums'):
        return
    for number in plt.get_fignums():
        figure = plt.figure(number)
        if figure.get_axes() or figure.texts:
            send_result({'text/plain': repr(figure), 'image/png': figure_png(figure)}, False)
    plt.close('all')


class Backend(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The backend of matplotlib: Agg, whose show() shows here."""

    NAME = 'cordon_matplotlib'

    def find_spec(self, name, _path, _target=None):
        return importlib.util.spec_from_loader(name, self) if name == self.NAME else None

    def create_module(self, _spec):
        return None

    def exec_module(self, module):
        from matplotlib.backends.backend_agg import FigureCanvasAgg, FigureManagerBase, new_figure_manager

        class FigureManager(FigureManagerBase):
            pyplot_show = staticmethod(show_figures)

        class FigureCanvas(FigureCanvasAgg):
            manager_class = FigureManager

        module.FigureCanvas = FigureCanvas
        module.FigureManager = FigureManager
        module.new_figure_manager = new_figure_manager
        module.show = show_figures


sys.meta_path.append(Backend())
os.environ.setdefault('MPLBACKEND', f'module://{Backend.NAME}')


# The run of a piece of code.

class Interrupts:
    """SIGINT is KeyboardInterrupt while code runs, and nothing otherwise."""

    def __init__(self):
        self.armed = False
        signal.signal(signal.SIGINT, self.caught)

    def caught(self, number, frame):
        if self.armed:
            self.armed = False
            signal.default_int_handler(number, frame)


class Context:
    def __init__(self):
        self.main = types.ModuleType('__main__')
        sys.modules['__main__'] = self.main
        self.namespace = self.main.__dict__
        self.namespace.update(__builtins__=builtins, __annotations__={})
        builtins.display = display
        sys.path[0:0] = ['']  # the working directory, as at a prompt
        sys.argv = ['']
        self.loop = None
        self.count = 0
        self.interrupts = Interrupts()
        self.c_flush = None

    def compile(self, code, name):
        """The statements, and the last expression by itself when its value is wanted."""
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
        tree = compile(code, name, 'exec', flags, dont_inherit=True)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
        parts = [(tree, 'exec')] if tree.body else []
        if last is not None:
            parts.append((last, 'eval'))
        return [(mode, compile(part, name, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)) for part, mode in parts]

    def event_loop(self):
        if self.loop is None or self.loop.is_closed():
            self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        return self.loop

    def evaluate(self, compiled):
        value = eval(compiled, self.namespace)
        if compiled.co_flags & inspect.CO_COROUTINE:
            return self.event_loop().run_until_complete(value)
        return value

    def run(self, code):
        """True when it went well. Raises what the code raises."""
        name = f'<cell {self.count}>'
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        value = None
        for mode, compiled in self.compile(code, name):
            value = self.evaluate(compiled) if mode == 'eval' else self.evaluate(compiled) and None
        if value is not None:
            builtins._ = value
            if not silent(code):
                send_result(representations(value), True)
        show_figures()

    def flush(self):
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        if 'ctypes' in sys.modules:  # C's own buffers
            try:
                sys.modules['ctypes'].CDLL(None).fflush(None)
            except Exception:
                pass

    def request(self, code, env):
        self.count += 1
        before = dict(os.environ)
        os.environ.update(env)
        outcome = 'ok'
        try:
            try:
                self.interrupts.armed = True
                wire.send('begun')
                self.run(code)
            finally:
                self.interrupts.armed = False
                if os.getpid() != wire.pid:
                    # A fork of the code's that came to the end of it.
                    self.flush()
                    os._exit(0)
        except KeyboardInterrupt as error:
            outcome = 'interrupted'
            send_error(error)
        except SystemExit as error:
            self.flush()
            status = error.code
            if status is not None and not isinstance(status, int):
                print(status, file=sys.stderr)
                status = 1
            sys.exit(status)
        except BaseException as error:
            outcome = 'error'
            send_error(error)
        finally:
            for name in env:
                if name in before:
                    os.environ[name] = before[name]
                else:
                    os.environ.pop(name, None)
        self.flush()
        wire.send('end', executionCount=self.count, outcome=outcome)

    def wait(self):
        """Until a request comes; tasks that the code left go on meanwhile."""
        if b'\n' in wire.rest or self.loop is None or self.loop.is_closed() or not asyncio.all_tasks(self.loop):
            return
        self.loop.add_reader(wire.requests, self.loop.stop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.remove_reader(wire.requests)

    def serve(self):
        wire.send('ready')
        while True:
            try:
                self.wait()
            except BaseException as error:  # of a task
                send_error(error)
            request = wire.read()
            if request is None:
                return
            if request.get('op') == 'run':
                self.request(request['code'], request.get('env') or {})


def silent(code):
    """Whether the last expression ends in a semicolon: its value is not wanted, as in IPython."""
    if ';' not in code:
        return False
    last = None
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER):
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return False
    return last == ';'


try:
    import ctypes  # noqa: F401 so that what C code has buffered can be told to leave
except ImportError:
    pass
Context().serve()
