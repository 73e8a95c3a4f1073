package mesh.kit;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * A consumer that does what it is told, one command line after the other, and
 * answers each with one line:
 *
 * <pre>
 * ref    name=R address=HOST:PORT,... [...]   a client, see the SDK's Client
 * unref  name=R
 * call   ref=R op=... [arg=...]               one call, see {@link Calls}
 * gather refs=R,R,... n=25                    n calls of each, all in flight at once
 * storm  refs=R,R,... threads=25 calls=20     threads of each, answers in any order
 * rush   as=C refs=R,R,... threads=  calls=   starts the same
 * meet   as=C refs=R,R,... n=25 all=N key=K   starts the same, among N of several consumers
 * hold   as=C ref=R n=N for=MS                starts N calls that last so long
 * load   as=C refs=R,R,... threads=N          starts N threads that call without end
 * end    as=C                                 ends one of these: how did it go?
 * </pre>
 *
 * "ok name=value ..." or "fail type=exception code=.. text=message"; both have ms=,
 * the time it took.
 */
public final class Consumer {

    private static final Map<String, Client> CLIENTS = new HashMap<>();
    private static final Map<String, Crowd> CROWDS = new HashMap<>();

    private Consumer() {
    }

    public static void main(String[] args) throws Exception {
        Sdk.stayOnLoopback();

        System.out.println("READY");

        BufferedReader in = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            System.out.println(answer(text));
            System.out.flush();
        }

        /* no time for the SDK's own farewell */
        Runtime.getRuntime().halt(0);
    }

    /** What main() does with a line; of strings, for who has loaded this class anew. */
    public static String answer(String text) {
        long start = System.nanoTime();
        Line answer;
        try {
            answer = obey(Line.parse(text));
        } catch (Throwable e) {
            answer = Failure.of(e).line();
        }
        return answer.with("ms", (System.nanoTime() - start) / 1_000_000).toString();
    }

    private static Line obey(Line line) throws Throwable {
        switch (line.word) {
        case "ref":
            CLIENTS.put(line.get("name"), new Client(line));
            return new Line("ok");
        case "unref":
            CLIENTS.remove(line.get("name")).destroy();
            return new Line("ok");
        case "call":
            return Calls.make(client(line.get("ref")), line);
        case "gather":
            return gather(line, "gate" + System.nanoTime(),
                    clients(line).length * line.number("n", 1)).end();
        case "meet":
            CROWDS.put(line.get("as"), gather(line, line.get("key"), line.number("all", 1)));
            return new Line("ok");
        case "storm":
            return storm(line).end();
        case "rush":
            CROWDS.put(line.get("as"), storm(line));
            return new Line("ok");
        case "hold":
            CROWDS.put(line.get("as"), Crowd.hold(client(line.get("ref")),
                    line.number("n", 1), line.number("for", 1000)));
            return new Line("ok");
        case "load":
            CROWDS.put(line.get("as"), Crowd.load(clients(line), line.number("threads", 1)));
            return new Line("ok");
        case "end":
            return CROWDS.remove(line.get("as")).end();
        default:
            throw new IllegalArgumentException("unknown command " + line.word);
        }
    }

    private static Crowd gather(Line line, String key, int all) {
        return Crowd.gather(clients(line), line.number("n", 1), key, all);
    }

    private static Crowd storm(Line line) {
        return Crowd.storm(clients(line), line.number("threads", 1), line.number("calls", 1));
    }

    private static Client client(String name) {
        Client client = CLIENTS.get(name);
        if (client == null) {
            throw new IllegalArgumentException("no ref " + name);
        }
        return client;
    }

    private static Client[] clients(Line line) {
        String[] names = line.get("refs").split(",");
        Client[] clients = new Client[names.length];
        for (int i = 0; i < names.length; i++) {
            clients[i] = client(names[i]);
        }
        return clients;
    }
}
