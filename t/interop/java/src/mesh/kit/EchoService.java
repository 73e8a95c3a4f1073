package mesh.kit;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import mesh.kit.api.Color;
import mesh.kit.api.Echo;
import mesh.kit.api.EchoException;
import mesh.kit.api.EchoFault;
import mesh.kit.api.Listener;
import mesh.kit.api.Person;

/** All but what is kept in a context of the SDK. */
abstract class EchoService implements Echo {

    /* counters are of the process: all services of it share them */
    private static final AtomicInteger RUNNING = new AtomicInteger();
    private static final Map<String, AtomicInteger> FIRED = new ConcurrentHashMap<>();
    private static final Map<String, CountDownLatch> GATES = new ConcurrentHashMap<>();
    private static final ScheduledExecutorService CLOCK =
            Executors.newScheduledThreadPool(1, task -> {
                Thread thread = new Thread(task, "clock");
                thread.setDaemon(true);
                return thread;
            });

    private final String label;

    EchoService(String label) {
        this.label = label;
    }

    @Override
    public String echo(String text) {
        return text;
    }

    @Override
    public void nothing() {
    }

    @Override
    public String nil() {
        return null;
    }

    @Override
    public String fail(String kind) throws EchoException {
        switch (kind) {
        case "checked":
            throw new EchoException("checked, as declared", 42);
        case "runtime":
            throw new IllegalStateException("not in this state");
        case "custom":
            throw new EchoFault("unchecked, of the interface");
        case "error":
            throw new NoSuchMethodError("an Error, not an Exception");
        default:
            throw new IllegalArgumentException(kind);
        }
    }

    @Override
    public Person birthday(Person person) {
        person.setAge(person.getAge() + 1);
        return person;
    }

    @Override
    public List<Person> reverse(List<Person> people, Color color, long[] numbers) {
        List<Person> result = new ArrayList<>(people);
        Collections.reverse(result);
        for (int i = 0; i < result.size(); i++) {
            result.get(i).setColor(color);
            result.get(i).setId(numbers[i]);
        }
        return result;
    }

    @Override
    public byte[] invert(byte[] bytes) {
        byte[] result = new byte[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            result[i] = (byte) ~bytes[i];
        }
        return result;
    }

    @Override
    public byte[] make(int size) {
        byte[] result = new byte[size];
        for (int i = 0; i < size; i++) {
            result[i] = (byte) i;
        }
        return result;
    }

    @Override
    public String delay(String text, int ms) {
        RUNNING.incrementAndGet();
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            RUNNING.decrementAndGet();
        }
        return text;
    }

    @Override
    public CompletableFuture<String> later(String text, int ms) {
        CompletableFuture<String> future = new CompletableFuture<>();
        CLOCK.schedule(() -> future.complete(text), ms, TimeUnit.MILLISECONDS);
        return future;
    }

    @Override
    public String gather(String text, String key, int n) {
        CountDownLatch gate = GATES.computeIfAbsent(key, k -> new CountDownLatch(n));
        gate.countDown();
        try {
            if (!gate.await(10, TimeUnit.SECONDS)) {
                return "only " + (n - gate.getCount()) + " calls came";
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return text;
    }

    @Override
    public int running() {
        return RUNNING.get();
    }

    @Override
    public void fire(String key) {
        FIRED.computeIfAbsent(key, k -> new AtomicInteger()).incrementAndGet();
    }

    @Override
    public int fired(String key) {
        AtomicInteger n = FIRED.get(key);
        return n == null ? 0 : n.get();
    }

    @Override
    public String whoami() {
        return label;
    }

    @Override
    public String subscribe(String prefix, Listener listener, int times) {
        List<String> answers = new ArrayList<>();
        for (int i = 0; i < times; i++) {
            answers.add(listener.changed(prefix + i));
        }
        return String.join(",", answers);
    }
}
