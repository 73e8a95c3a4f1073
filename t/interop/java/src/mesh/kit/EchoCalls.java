package mesh.kit;

import java.math.BigDecimal;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import java.util.stream.Collectors;

import mesh.kit.api.Color;
import mesh.kit.api.Echo;
import mesh.kit.api.EchoException;
import mesh.kit.api.Person;

/** Calls as an application makes them, whatever is below. */
final class EchoCalls {

    private EchoCalls() {
    }

    static Object make(Echo echo, String op, Line line) throws Throwable {
        switch (op) {
        case "echo":
            return echo.echo(line.get("arg"));
        case "nothing":
            echo.nothing();
            return null;
        case "nil":
            return echo.nil();
        case "fail":
            return fail(echo, line);
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
        case "fired":
            return echo.fired(line.get("arg"));
        case "running":
            return echo.running();
        case "whoami":
            return echo.whoami();
        default:
            throw new IllegalArgumentException("unknown op " + op);
        }
    }

    private static Object fail(Echo echo, Line line) throws Throwable {
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
