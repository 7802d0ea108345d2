java Everything.java && javac -d out Everything.java && java -cp out Everything && java -Xmx64m -XX:+UseG1GC -cp out Everything
