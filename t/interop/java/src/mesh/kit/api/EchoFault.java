package mesh.kit.api;

/** An unchecked exception that both sides know. */
public class EchoFault extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public EchoFault() {
    }

    public EchoFault(String message) {
        super(message);
    }
}
