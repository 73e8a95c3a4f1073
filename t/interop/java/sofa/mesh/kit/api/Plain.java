package mesh.kit.api;

import java.io.Serializable;

/** What is said over Bolt without SOFARPC: request and answer. */
public class Plain implements Serializable {

    private static final long serialVersionUID = 1L;

    private String text;

    public Plain() {
    }

    public Plain(String text) {
        this.text = text;
    }

    public String getText() {
        return text;
    }
}
