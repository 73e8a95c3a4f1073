import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import kit.Kit;
import kit.Refused;

import org.apache.thrift.TApplicationException;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.transport.TSocket;
import org.apache.thrift.transport.layered.TFramedTransport;

/**
 * Clients of framed Thrift as the library has them: Client PORT THREADS CALLS.
 * Each line printed is "NAME VALUE".  The library itself checks that an answer
 * has the sequence id of its call.
 */
public class Client {
    private static int port;

    interface Part {
        String run(Kit.Client client) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        port = Integer.parseInt(args[0]);
        int threads = Integer.parseInt(args[1]);
        int calls = Integer.parseInt(args[2]);

        part("echo", client -> client.echo("gr\u00fc\u00dfe"));
        part("empty", client -> "[" + client.echo("") + "]");
        part("large", client -> {
            String text = "x".repeat(300_000);
            return text.equals(client.echo(text)) ? "same" : "other";
        });
        part("add", client -> "" + client.add(2, 1L << 40));
        part("refuse", client -> {
            try {
                return client.refuse("no thanks");
            } catch (Refused e) {
                return "Refused " + e.getWhy() + ", then " + client.echo("on");
            }
        });
        part("fail", client -> {
            try {
                return client.fail("broken");
            } catch (TApplicationException e) {
                return "type " + e.getType() + ", then " + client.echo("on");
            }
        });
        part("note", client -> {
            for (int i = 0; i < 50; i++) {
                client.note("note " + i);
            }
            for (int i = 0; i < 500 && client.notes() < 50; i++) {
                Thread.sleep(10);
            }
            return "" + client.notes();
        });
        part("timeout", client -> {
            try {
                return client.slow("late", 1300);
            } catch (TApplicationException e) {
                return "type " + e.getType() + " " + e.getMessage()
                        + ", then " + client.echo("on");
            }
        });

        try {
            System.out.println("crowd " + crowd(threads, calls));
        } catch (Exception e) {
            System.out.println("crowd threw " + e);
        }

        // threads of a crowd that failed are no reason to stay
        System.exit(0);
    }

    private static void part(String name, Part part) {
        String said;
        try (TFramedTransport transport = connect()) {
            said = part.run(new Kit.Client(new TBinaryProtocol(transport)));
        } catch (Exception e) {
            said = "threw " + e;
        }
        System.out.println(name + " " + said);
    }

    private static TFramedTransport connect() throws Exception {
        TFramedTransport transport =
                new TFramedTransport(new TSocket("127.0.0.1", port, 20_000));
        transport.open();
        return transport;
    }

    /** All threads count their sequence ids from the same number on. */
    private static String crowd(int threads, int calls) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        List<Future<Integer>> answers = new ArrayList<>();

        for (int t = 0; t < threads; t++) {
            int thread = t;
            Callable<Integer> task = () -> {
                int good = 0;
                try (TFramedTransport transport = connect()) {
                    Kit.Client client =
                            new Kit.Client(new TBinaryProtocol(transport));
                    for (int i = 0; i < calls; i++) {
                        String text = thread + "." + i;
                        String said = i % 10 == 0
                                ? client.slow(text, (thread * 7 + i) % 23)
                                : client.echo(text);
                        good += text.equals(said) ? 1 : 0;
                    }
                }
                return good;
            };
            answers.add(pool.submit(task));
        }

        int good = 0;
        for (Future<Integer> answer : answers) {
            good += answer.get();
        }
        pool.shutdown();
        return good + " of " + threads * calls;
    }
}
