package mesh.kit.api;

/** A checked exception with state of its own, declared by the interface. */
public class EchoException extends Exception {

    private static final long serialVersionUID = 1L;

    private int reason;

    public EchoException() {
    }

    public EchoException(String message) {
        super(message);
    }

    public EchoException(String message, int reason) {
        super(message);
        this.reason = reason;
    }

    public int getReason() {
        return reason;
    }

    public void setReason(int reason) {
        this.reason = reason;
    }
}
