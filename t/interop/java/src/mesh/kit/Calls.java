package mesh.kit;

import java.math.BigDecimal;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.service.EchoService;
import org.apache.dubbo.rpc.service.GenericService;

import mesh.kit.api.Color;
import mesh.kit.api.Echo;
import mesh.kit.api.EchoException;
import mesh.kit.api.Person;

/** Single calls, by name; "value=" is what they returned, "null=1" that it was null. */
final class Calls {

    private Calls() {
    }

    static Line make(Client client, Line line) throws Throwable {
        Line answer = new Line("ok");
        String op = line.get("op");
        Object value = client.generic != null
                ? generic(client.generic, op, line)
                : typed(client.echo, op, line, answer);
        return value == null ? answer.with("null", 1) : answer.with("value", value);
    }

    private static Object typed(Echo echo, String op, Line line, Line answer) throws Throwable {
        switch (op) {
        case "echo":
            return echo.echo(line.get("arg"));
        case "nothing":
            echo.nothing();
            return null;
        case "nil":
            return echo.nil();
        case "fail":
            return fail(echo, line, answer);
        case "birthday":
            return describe(echo.birthday(sample()));
        case "reverse":
            return reverse(echo);
        case "invert":
            return invert(echo, line.number("size", 0));
        case "make":
            return echo.make(line.number("size", 0)).length;
        case "delay":
            return echo.delay(line.get("arg"), line.number("for", 0));
        case "later":
            return later(echo, line, answer);
        case "async":
            return async(echo, line, answer);
        case "fire":
            echo.fire(line.get("arg"));
            return null;
        case "fired":
            return echo.fired(line.get("arg"));
        case "running":
            return echo.running();
        case "attachment":
            return attachment(echo, line, answer);
        case "whoami":
            return echo.whoami();
        case "$echo":
            return ((EchoService) echo).$echo(line.get("arg"));
        case "subscribe":
            return subscribe(echo, line, answer);
        default:
            throw new IllegalArgumentException("unknown op " + op);
        }
    }

    private static Object fail(Echo echo, Line line, Line answer) throws Throwable {
        try {
            return echo.fail(line.get("arg"));
        } catch (EchoException e) {
            /* the state of a checked exception has to survive, too */
            return "EchoException " + e.getReason() + " " + e.getMessage();
        }
    }

    private static Object reverse(Echo echo) {
        List<Person> people = Arrays.asList(new Person("a", 1), new Person("b", 2), new Person("c", 3));
        return echo.reverse(people, Color.BLUE, new long[] {1, -1, 1L << 60}).stream()
                .map(p -> p.getName() + p.getAge() + p.getColor() + p.getId())
                .collect(Collectors.joining(" "));
    }

    private static Object invert(Echo echo, int size) {
        byte[] sent = new byte[size];
        for (int i = 0; i < size; i++) {
            sent[i] = (byte) (i * 31 + (i >> 8));
        }
        byte[] got = echo.invert(sent);
        for (int i = 0; i < size; i++) {
            if (got[i] != (byte) ~sent[i]) {
                return "differs at " + i;
            }
        }
        return got.length;
    }

    /** A method that returns a future: "early" says it was not complete at once. */
    private static Object later(Echo echo, Line line, Line answer) throws Exception {
        CompletableFuture<String> future = echo.later(line.get("arg"), line.number("for", 0));
        answer.with("early", future.isDone() ? 0 : 1);
        return future.get(10, TimeUnit.SECONDS);
    }

    /** A blocking method, called without blocking. */
    private static Object async(Echo echo, Line line, Line answer) throws Exception {
        String text = line.get("arg");
        int ms = line.number("for", 0);
        CompletableFuture<String> future =
                RpcContext.getContext().asyncCall(() -> echo.delay(text, ms));
        answer.with("early", future.isDone() ? 0 : 1);
        return future.get(10, TimeUnit.SECONDS);
    }

    private static Object attachment(Echo echo, Line line, Line answer) {
        String key = line.get("key");
        RpcContext.getContext().setAttachment(key, line.get("arg"));
        String value = echo.attachment(key);
        answer.with("seen", AnswerFilter.last("seen"));
        return value;
    }

    private static Object subscribe(Echo echo, Line line, Line answer) {
        StringBuffer events = new StringBuffer();
        String result = echo.subscribe(line.get("arg"), event -> {
            events.append(event).append(' ');
            return "got-" + event;
        }, line.number("n", 1));
        answer.with("events", events.toString().trim());
        return result;
    }

    private static Object generic(GenericService service, String op, Line line) throws Exception {
        String string = "java.lang.String";
        switch (op) {
        case "echo":
        case "fail":
            return service.$invoke(op, new String[] {string}, new Object[] {line.get("arg")});
        case "delay":
            return service.$invokeAsync(op, new String[] {string, "int"},
                    new Object[] {line.get("arg"), line.number("for", 0)}).get(10, TimeUnit.SECONDS);
        case "nothing":
            return service.$invoke(op, new String[0], new Object[0]);
        case "birthday":
            Map<String, Object> person = new HashMap<>();
            person.put("name", "Généric");
            person.put("age", 40);
            person.put("tags", Arrays.asList("x", "y"));
            person.put("color", "GREEN");
            person.put("boss", Collections.singletonMap("name", "Boss"));
            Map<?, ?> got = (Map<?, ?>) service.$invoke(op,
                    new String[] {Person.class.getName()}, new Object[] {person});
            return got.get("name") + " " + got.get("age") + " " + got.get("tags") + " "
                    + got.get("color") + " " + ((Map<?, ?>) got.get("boss")).get("name");
        default:
            throw new IllegalArgumentException("unknown generic op " + op);
        }
    }

    private static Person sample() {
        Person boss = new Person("Bossé 😀", 60);
        Person friend = new Person("Friend", 30);
        friend.setBoss(boss);

        Person person = new Person("Ада", 36);
        person.setId(1L << 40);
        person.setScore(-0.125);
        person.setActive(true);
        person.setSalary(new BigDecimal("12345678901234567890.12"));
        person.setBorn(new Date(-4873996800000L));
        person.setColor(Color.GREEN);
        person.setCodes(new int[] {0, -1, Integer.MAX_VALUE, 70000});
        person.setTags(Arrays.asList("", "two", "двa"));
        person.getFriends().put("best", friend);
        person.getFriends().put("nobody", null);
        person.setBoss(boss);
        return person;
    }

    private static String describe(Person p) {
        Person friend = p.getFriends().get("best");
        return String.join("|", p.getName(), "" + p.getAge(), "" + p.getId(), "" + p.getScore(),
                "" + p.isActive(), "" + p.getSalary(), "" + p.getBorn().getTime(), "" + p.getColor(),
                Arrays.toString(p.getCodes()), "" + p.getTags(), "" + p.getFriends().keySet(),
                "" + p.getFriends().get("nobody"), friend.getName(), p.getBoss().getName(),
                /* one boss, not two that look alike */
                friend.getBoss() == p.getBoss() ? "shared" : "copied");
    }
}
