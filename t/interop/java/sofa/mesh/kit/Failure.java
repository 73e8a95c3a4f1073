package mesh.kit;

import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

import com.alipay.sofa.rpc.core.exception.SofaRpcException;

/** An exception as a test wants to see it. */
final class Failure {

    private final Throwable thrown;

    private Failure(Throwable thrown) {
        this.thrown = thrown;
    }

    static Failure of(Throwable thrown) {
        while ((thrown instanceof ExecutionException || thrown instanceof CompletionException)
                && thrown.getCause() != null) {
            thrown = thrown.getCause();
        }
        return new Failure(thrown);
    }

    Line line() {
        Throwable cause = thrown.getCause();
        Line line = new Line("fail").with("type", thrown.getClass().getName()).with("text", text());
        if (thrown instanceof SofaRpcException) {
            line.with("code", ((SofaRpcException) thrown).getErrorType());
        }
        if (cause != null && cause != thrown) {
            line.with("cause", cause.getClass().getName()).with("causetext", first(cause.getMessage()));
        }
        return line;
    }

    /** "SofaRpcException/220", for counting */
    String brief() {
        String name = thrown.getClass().getSimpleName();
        return thrown instanceof SofaRpcException
                ? name + "/" + ((SofaRpcException) thrown).getErrorType() : name;
    }

    String text() {
        return first(thrown.getMessage());
    }

    private static String first(String message) {
        return String.valueOf(message).lines().findFirst().orElse("");
    }
}
