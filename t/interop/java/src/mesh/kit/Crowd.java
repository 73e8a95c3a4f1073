package mesh.kit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;

import mesh.kit.api.Echo;

/** Many calls at once, each with an answer of its own. */
final class Crowd {

    private interface Call {

        /** has to answer the text, which is of this call alone */
        String make(Echo echo, String text) throws Throwable;
    }

    private static final AtomicInteger SERIAL = new AtomicInteger();

    private final List<Thread> threads = new ArrayList<>();
    private final Map<String, Integer> failures = new TreeMap<>();
    private final Map<String, Integer> texts = new TreeMap<>();
    private volatile boolean stopping;
    private int good;
    private int wrong;
    private int failed;
    private long firstFailure;
    private long lastFailure;

    private Crowd() {
    }

    /** n calls of each client, of which none is answered before all with that key have come */
    static Crowd gather(Client[] clients, int n, String key, int all) {
        Crowd crowd = new Crowd();
        for (Client client : clients) {
            crowd.add(n, () -> crowd.call(client, (echo, text) -> echo.gather(text, key, all)));
        }
        return crowd.start();
    }

    /** short calls, the later ones often answered first */
    static Crowd storm(Client[] clients, int threads, int calls) {
        Crowd crowd = new Crowd();
        for (Client client : clients) {
            crowd.add(threads, () -> {
                for (int i = 0; i < calls; i++) {
                    int ms = ThreadLocalRandom.current().nextInt(10);
                    crowd.call(client, (echo, text) -> echo.delay(text, ms));
                }
            });
        }
        return crowd.start();
    }

    static Crowd hold(Client client, int n, int ms) {
        Crowd crowd = new Crowd();
        crowd.add(n, () -> crowd.call(client, (echo, text) -> echo.delay(text, ms)));
        return crowd.start();
    }

    static Crowd load(Client[] clients, int threads) {
        Crowd crowd = new Crowd();
        for (int i = 0; i < threads; i++) {
            Client client = clients[i % clients.length];
            crowd.add(1, () -> {
                while (!crowd.stopping) {
                    /* so long that a stop always meets some of them in flight */
                    crowd.call(client, (echo, text) -> echo.delay(text, 20));
                }
            });
        }
        return crowd.start();
    }

    private void add(int n, Runnable task) {
        for (int i = 0; i < n; i++) {
            threads.add(new Thread(task));
        }
    }

    private Crowd start() {
        for (Thread thread : threads) {
            thread.setDaemon(true);
            thread.start();
        }
        return this;
    }

    /** Stops what does not stop by itself, waits, and says how it went. */
    Line end() throws InterruptedException {
        stopping = true;
        for (Thread thread : threads) {
            thread.join();
        }
        Line line = new Line("ok").with("good", good).with("wrong", wrong).with("failed", failed);
        if (failed > 0) {
            line.with("first", firstFailure / 1e3).with("last", lastFailure / 1e3)
                    .with("types", failures).with("texts", texts);
        }
        return line;
    }

    private void call(Client client, Call call) {
        String text = client.name + " call " + SERIAL.incrementAndGet();
        try {
            String answer = call.make(client.echo, text);
            synchronized (this) {
                if (text.equals(answer)) {
                    good++;
                } else {
                    wrong++;
                    texts.merge(text + " -> " + answer, 1, Integer::sum);
                }
            }
        } catch (Throwable e) {
            long now = System.currentTimeMillis();
            Failure failure = Failure.of(e);
            synchronized (this) {
                failed++;
                firstFailure = firstFailure == 0 ? now : firstFailure;
                lastFailure = now;
                failures.merge(failure.brief(), 1, Integer::sum);
                if (texts.size() < 3) {
                    texts.merge(failure.text(), 1, Integer::sum);
                }
            }
        }
    }
}
