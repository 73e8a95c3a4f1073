package mesh.kit.api;

import java.util.List;
import java.util.concurrent.CompletableFuture;

/** What every provider of these tests serves. */
public interface Echo {

    String echo(String text);

    void nothing();

    String nil();

    /** Fails: "checked", "runtime" (of Java), "custom" (unchecked) or "error". */
    String fail(String kind) throws EchoException;

    /** The same person, a year older. */
    Person birthday(Person person);

    /** The list turned round; a change of any element would be seen. */
    List<Person> reverse(List<Person> people, Color color, long[] numbers);

    /** Each byte with all bits inverted. */
    byte[] invert(byte[] bytes);

    /** That many bytes, 0 1 2 .. 255 0 1 .. */
    byte[] make(int size);

    String delay(String text, int ms);

    CompletableFuture<String> later(String text, int ms);

    /**
     * Answers when n calls with this key are inside at once, so it proves that
     * they were all in flight together.
     */
    String gather(String text, String key, int n);

    /** Calls of delay() that are running now. */
    int running();

    void fire(String key);

    int fired(String key);

    /** The value of a request attachment; the answer carries "seen" = value. */
    String attachment(String key);

    /** Name of the process and the service as it was exported. */
    String whoami();

    /** Calls the listener that many times; its answers joined with commas. */
    String subscribe(String prefix, Listener listener, int times);
}
