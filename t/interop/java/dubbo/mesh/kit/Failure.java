package mesh.kit;

import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

import org.apache.dubbo.rpc.RpcException;

/** An exception as a test wants to see it. */
final class Failure {

    private final Throwable thrown;

    private Failure(Throwable thrown) {
        this.thrown = thrown;
    }

    static Failure of(Throwable thrown) {
        /* futures wrap what the call really failed with */
        while ((thrown instanceof ExecutionException || thrown instanceof CompletionException)
                && thrown.getCause() != null) {
            thrown = thrown.getCause();
        }
        return new Failure(thrown);
    }

    /** RpcException's code, or -1 */
    int code() {
        return thrown instanceof RpcException ? ((RpcException) thrown).getCode() : -1;
    }

    String type() {
        return thrown.getClass().getName();
    }

    Line line() {
        Throwable cause = thrown.getCause();
        Line line = new Line("fail").with("type", type()).with("text", text());
        if (thrown instanceof RpcException) {
            line.with("code", code());
        }
        if (cause != null && cause != thrown) {
            line.with("cause", cause.getClass().getName()).with("causetext", first(cause.getMessage()));
        }
        return line;
    }

    /** "RpcException/1", for counting */
    String brief() {
        String name = thrown.getClass().getSimpleName();
        return code() < 0 ? name : name + "/" + code();
    }

    String text() {
        return first(thrown.getMessage());
    }

    /** Dubbo likes to send whole stack traces as the message. */
    private static String first(String message) {
        return String.valueOf(message).lines().findFirst().orElse("");
    }
}
