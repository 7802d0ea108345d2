import java.io.*;
import java.net.*;
import java.nio.channels.FileChannel;
import java.nio.file.*;
import java.nio.*;
import java.util.*;
import java.util.concurrent.*;

public class Everything {
  public static void main(String[] arguments) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(16);
    List<Future<Integer>> results = new ArrayList<>();
    for (int i = 0; i < 500; i++) {
      final int k = i;
      results.add(pool.submit(() -> k * k));
    }
    int sum = 0;
    for (Future<Integer> result : results) sum += result.get();
    pool.shutdown();
    System.out.println(sum);
    List<byte[]> kept = new ArrayList<>();
    for (int i = 0; i < 20000; i++) {
      byte[] some = new byte[100_000];
      if (i % 400 == 0) kept.add(some);
    }
    System.out.println("kept " + kept.size());
    try (ServerSocket server = new ServerSocket(0)) {
      Thread thread = new Thread(() -> {
        try (Socket socket = server.accept()) {
          socket.getOutputStream().write("hello\n".getBytes());
        } catch (IOException error) {
          throw new UncheckedIOException(error);
        }
      });
      thread.start();
      try (Socket socket = new Socket("localhost", server.getLocalPort())) {
        System.out.println(new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine());
      }
      thread.join();
    }
    Process process = new ProcessBuilder("sh", "-c", "cat; exit 3").start();
    process.getOutputStream().write("sub".getBytes());
    process.getOutputStream().close();
    System.out.println(new String(process.getInputStream().readAllBytes()) + process.waitFor());
    Path file = Files.createTempFile("x", "y");
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MappedByteBuffer mapped = channel.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20);
      mapped.put(5000, (byte) 42);
      mapped.force();
    }
    System.out.println(Files.readAllBytes(file)[5000]);
    try {
      recurse(0);
    } catch (StackOverflowError error) {
      System.out.println("stack overflow caught");
    }
    int[] nothing = null;
    try {
      System.out.println(nothing[0]);
    } catch (NullPointerException error) {
      System.out.println("null caught");
    }
  }

  private static int recurse(int depth) {
    return recurse(depth + 1) + 1;
  }
}
