package mesh.kit.api;

/** A callback argument: the provider calls it on the consumer's connection. */
public interface Listener {

    String changed(String event);
}
