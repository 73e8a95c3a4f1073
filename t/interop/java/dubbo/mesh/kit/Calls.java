package mesh.kit;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.service.EchoService;
import org.apache.dubbo.rpc.service.GenericService;

import mesh.kit.api.Echo;
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
        case "later":
            return later(echo, line, answer);
        case "async":
            return async(echo, line, answer);
        case "fire":
            echo.fire(line.get("arg"));
            return null;
        case "attachment":
            return attachment(echo, line, answer);
        case "shared":
            return shared(echo, line);
        case "$echo":
            return ((EchoService) echo).$echo(line.get("arg"));
        case "subscribe":
            return subscribe(echo, line, answer);
        default:
            return EchoCalls.make(echo, op, line);
        }
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

    /**
     * The provider says what it has of key=; arg= is sent as sent= if that is another.
     * A context of 2.7 keeps it otherwise.
     */
    private static Object attachment(Echo echo, Line line, Line answer) {
        String key = line.get("key");
        RpcContext.getContext().setAttachment(line.get("sent", key), line.get("arg"));
        try {
            String value = echo.attachment(key);
            answer.with("seen", AnswerFilter.last("seen"));
            return value;
        } finally {
            RpcContext.getContext().clearAttachments();
        }
    }

    /** One list under all the names of sent=, as Hessian it is there but once. */
    private static Object shared(Echo echo, Line line) {
        List<String> list = new ArrayList<>(List.of("x", "y"));
        for (String name : line.get("sent").split(",")) {
            RpcContext.getContext().setObjectAttachment(name, list);
        }
        try {
            return echo.attachment(line.get("key"));
        } finally {
            RpcContext.getContext().clearAttachments();
        }
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
}
