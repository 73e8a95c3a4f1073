package mesh.kit;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;

import com.example.Greeter;

/**
 * The consumer of the demo: {@code DemoConsumer port=N clients=8}.  Each client
 * has a connection of its own.  For a line "N" each of them makes N calls, all
 * clients at once, for "Nms" as many as fit into so many milliseconds with a
 * short pause after each; the answer is one line, such as
 * {@code ms=120 failed=0 v1=200 v2=200}, with a failure's text behind it.
 */
public final class DemoConsumer {

    private final TreeMap<String, Integer> answered = new TreeMap<>();
    private int failed;
    private String failure = "";

    private DemoConsumer() {
    }

    public static void main(String[] args) throws Exception {
        Line options = Line.parse("consumer " + String.join(" ", args));
        List<Greeter> clients = new ArrayList<>();

        Sdk.stayOnLoopback();

        for (int i = 0; i < options.number("clients", 8); i++) {
            clients.add(client(options));
        }

        System.out.println("READY");
        System.out.flush();

        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        String line;
        while ((line = input.readLine()) != null) {
            System.out.println(new DemoConsumer().round(clients, line));
            System.out.flush();
        }

        Runtime.getRuntime().halt(0);
    }

    private static Greeter client(Line options) {
        ReferenceConfig<Greeter> config = new ReferenceConfig<>();
        config.setApplication(Sdk.application("demo-consumer"));
        config.setRegistry(new RegistryConfig("N/A"));
        config.setInterface(Greeter.class);
        config.setVersion("1.0.0");
        /* without port= a file says where, see dubbo.resolve.file */
        if (options.has("port")) {
            config.setUrl("dubbo://127.0.0.1:" + options.get("port"));
        }
        config.setCheck(false);
        config.setTimeout(3000);
        config.setRetries(0);
        /* without this all references share one connection */
        config.setConnections(1);
        return config.get();
    }

    private String round(List<Greeter> clients, String order) throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        long start = System.nanoTime();
        long limit = order.endsWith("ms")
                ? Long.parseLong(order.substring(0, order.length() - 2)) * 1_000_000 : 0;
        int calls = limit > 0 ? Integer.MAX_VALUE : Integer.parseInt(order);

        for (int i = 0; i < clients.size(); i++) {
            String name = "client " + (i + 1);
            Greeter greeter = clients.get(i);
            Thread thread = new Thread(() -> call(greeter, name, calls, limit));
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }

        StringBuilder text = new StringBuilder();
        text.append("ms=").append((System.nanoTime() - start) / 1_000_000);
        text.append(" failed=").append(failed);
        answered.forEach((who, n) -> text.append(' ').append(who).append('=').append(n));
        return text.append(' ').append(failure).toString().trim();
    }

    private void call(Greeter greeter, String name, int calls, long limit) {
        String greeting = "Hello " + name + ", this is ";
        long start = System.nanoTime();

        for (int i = 0; i < calls && (limit == 0 || System.nanoTime() - start < limit); i++) {
            try {
                String answer = greeter.sayHello(name);
                if (!answer.startsWith(greeting)) {
                    throw new IllegalStateException("another's answer: " + answer);
                }
                note(answer.substring(greeting.length()));
            } catch (RuntimeException e) {
                note(e);
            }
            if (limit > 0 && !paused()) {
                return;
            }
        }
    }

    private static boolean paused() {
        try {
            Thread.sleep(5);
            return true;
        } catch (InterruptedException e) {
            return false;
        }
    }

    private synchronized void note(String who) {
        answered.merge(who, 1, Integer::sum);
    }

    private synchronized void note(RuntimeException e) {
        failed++;
        failure = Failure.of(e).text();
    }
}
